//! Pictures: generations, edits and variations, by link or inline, streamed or not, and the old two-step way.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::call::{Call, Reply, model_label};
use crate::config::Deployment;
use crate::failure::Failure;
use crate::fault::Fault;
use crate::filter::Filter;
use crate::media;
use crate::models::{self, Task};
use crate::payload::Payload;
use crate::script::Script;
use crate::store::{Kind, Object};
use crate::text::{hex, mix};
use crate::tokens::Prompt;
use crate::usage::Used;

/// Tokens a generated picture counts.
const IMAGE_TOKENS: u64 = 272;
/// Tokens a picture sent with the request counts.
const INPUT_IMAGE_TOKENS: u64 = 194;

/// What is to be done with a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Generation,
    Edit,
    Variation,
}

/// Reads a field from a form or a JSON body.
fn field(call: &Call<'_>, name: &str) -> Option<String> {
    match &call.payload {
        Payload::Form(form) => form.field(name).map(str::to_owned),
        _ => call
            .field(name)
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    }
}

/// `POST images/generations`, `images/edits` and `images/variations`.
pub(crate) fn create(call: &Call<'_>, work: Work) -> Result<Reply, Failure> {
    let model = field(call, "model");
    let default = (call.dialect() == crate::dialect::Dialect::OpenAi).then_some("dall-e-3");
    let deployment = models::serve(call, model.as_deref().or(default), Task::Image)?;
    let mut prompt = call.prompt();
    if work != Work::Variation {
        prompt.add(&field(call, "prompt").ok_or_else(|| Failure::missing("prompt"))?);
    }
    let mut pictures = 0;
    if work != Work::Generation {
        pictures = pictures_given(call)?;
    }
    let filter = Filter::inspect(call)?;
    let n = match field(call, "n") {
        None => 1,
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| (1..=10).contains(n))
            .ok_or_else(|| Failure::invalid("n", "expected 1 to 10"))?,
    };
    let artist = Artist { call, deployment: &deployment, prompt, work, pictures, filter };
    let is_stream = artist.inline() && field(call, "stream").as_deref() == Some("true");
    let reply = if is_stream { artist.stream()? } else { artist.whole(n)? };
    let reply = reply.using(artist.used(if is_stream { 1 } else { n }));
    let cost = prompt.chars / 4;
    models::charge(call, &deployment, cost, reply)
}

fn pictures_given(call: &Call<'_>) -> Result<u64, Failure> {
    let given = match &call.payload {
        Payload::Form(form) => {
            form.files.iter().filter(|file| file.field.starts_with("image")).count()
        }
        _ => call.field("images").and_then(Value::as_array).map_or(0, Vec::len),
    };
    if given == 0 { Err(Failure::missing("image")) } else { Ok(given as u64) }
}

struct Artist<'a> {
    call: &'a Call<'a>,
    deployment: &'a Arc<Deployment>,
    prompt: Prompt,
    work: Work,
    pictures: u64,
    filter: Filter,
}

impl Artist<'_> {
    /// GPT image models always answer inline.
    fn inline(&self) -> bool {
        self.deployment.model.starts_with("gpt-image")
    }

    fn used(&self, n: u64) -> Used {
        let used = Used {
            model: model_label(self.deployment),
            is_told: !self.call.faults.has(&Fault::NoUsage),
            ..Used::default()
        };
        if self.inline() {
            let prompt_tokens = self.prompt.tokens + self.pictures * INPUT_IMAGE_TOKENS;
            return Used { prompt_tokens, completion_tokens: n * IMAGE_TOKENS, ..used };
        }
        let asked = |name, usual: &str| field(self.call, name).unwrap_or_else(|| usual.to_owned());
        Used {
            images: n,
            image_size: asked("size", "1024x1024"),
            image_quality: asked("quality", "standard"),
            is_told: true,
            ..used
        }
    }

    fn whole(&self, n: u64) -> Result<Reply, Failure> {
        if self.deployment.model == "dall-e-3" && n > 1 {
            return Err(Failure::invalid("n", "dall-e-3 makes one picture at a time"));
        }
        let format = field(self.call, "response_format").unwrap_or_else(|| "url".into());
        if !matches!(format.as_str(), "url" | "b64_json") {
            return Err(Failure::invalid("response_format", "expected 'url' or 'b64_json'"));
        }
        let data: Vec<Value> = (0..n).map(|index| self.picture(index, &format)).collect();
        let mut value = json!({"created": self.call.now, "data": data});
        if self.inline() {
            value["background"] = json!("opaque");
            value["output_format"] = json!("png");
            value["quality"] = json!("low");
            value["size"] = json!("1024x1024");
            if !self.call.faults.has(&Fault::NoUsage) {
                value["usage"] = self.usage(n);
            }
        }
        Ok(Reply::json(&value).after(n * IMAGE_TOKENS))
    }

    fn picture(&self, index: u64, format: &str) -> Value {
        let seed = mix(self.prompt.hash, index);
        let mut picture = if self.inline() || format == "b64_json" {
            json!({"b64_json": media::png_base64(seed)})
        } else {
            json!({"url": format!("https://{}.blob.core.windows.net/images/{}/generated_{index:02}.png", self.call.instance.config.name, hex(seed, 32))})
        };
        if self.deployment.model == "dall-e-3" && self.work == Work::Generation {
            picture["revised_prompt"] = json!(crate::text::Words { seed, tokens: 20 }.text());
        }
        if self.filter.annotates && !self.inline() {
            picture["content_filter_results"] = self.filter.piece_results();
            picture["prompt_filter_results"] =
                self.filter.prompt_results(1)[0]["content_filter_results"].clone();
        }
        picture
    }

    fn usage(&self, n: u64) -> Value {
        let images = self.pictures * INPUT_IMAGE_TOKENS;
        let (input, output) = (self.prompt.tokens + images, n * IMAGE_TOKENS);
        json!({
            "input_tokens": input,
            "input_tokens_details": {"image_tokens": images, "text_tokens": self.prompt.tokens},
            "output_tokens": output,
            "total_tokens": input + output,
        })
    }

    fn stream(&self) -> Result<Reply, Failure> {
        let partial = match field(self.call, "partial_images") {
            None => 0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|count| (0..=3).contains(count))
                .ok_or_else(|| Failure::invalid("partial_images", "expected 0 to 3"))?,
        };
        let family = if self.work == Work::Edit { "image_edit" } else { "image_generation" };
        let event = |name: &str, seed: u64| {
            json!({
                "type": format!("{family}.{name}"),
                "b64_json": media::png_base64(seed),
                "created_at": self.call.now,
                "size": "1024x1024",
                "quality": "low",
                "background": "opaque",
                "output_format": "png",
            })
        };
        let mut script = Script::default();
        for index in 0..partial {
            let mut value = event("partial_image", mix(self.prompt.hash, 100 + index));
            value["partial_image_index"] = json!(index);
            script.event(value["type"].as_str(), &value);
        }
        let mut value = event("completed", mix(self.prompt.hash, 0));
        if !self.call.faults.has(&Fault::NoUsage) {
            value["usage"] = self.usage(1);
        }
        script.event(value["type"].as_str(), &value);
        Ok(Reply::stream(script))
    }
}

/// DALL-E 2: `POST images/generations:submit` answers 202 and a place to ask.
pub(crate) fn submit(call: &Call<'_>) -> Result<Reply, Failure> {
    call.need_text("prompt")?;
    Filter::inspect(call)?;
    let mut prompt = call.prompt();
    prompt.add(call.need_text("prompt")?);
    let id = hex(call.instance.draw(), 32);
    let n = call.number("n", 1, 5)?.unwrap_or(1);
    call.keep(Kind::ImageOperation, &id, Object::new(json!({"hash": prompt.hash, "n": n})));
    let place = format!(
        "https://{}/openai/operations/images/{id}?api-version={}",
        call.host, call.route.version
    );
    let reply =
        Reply::json(&json!({"id": id, "status": "notRunning"})).status(StatusCode::ACCEPTED);
    Ok(reply.header("operation-location", &place).header("retry-after", "1"))
}

/// `operations/images/{id}`: running at the first look, done at the second.
pub(crate) fn operation(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    if call.method == Method::DELETE {
        call.instance.store.remove(Kind::ImageOperation, id)?;
        return Ok(Reply::json(&json!({})).status(StatusCode::NO_CONTENT));
    }
    let (value, polls) = call.instance.store.with(Kind::ImageOperation, id, |object| {
        object.polls += 1;
        (object.value.clone(), object.polls)
    })?;
    if polls < 2 {
        return Ok(Reply::json(&json!({"id": id, "status": "running", "created": call.now})));
    }
    let seed = value["hash"].as_u64().unwrap_or_default();
    let url = |index| json!({"url": format!("https://{}.blob.core.windows.net/images/{}/generated_{index:02}.png", call.instance.config.name, hex(mix(seed, index), 32))});
    let data: Vec<Value> = (0..value["n"].as_u64().unwrap_or(1)).map(url).collect();
    let result = json!({"created": call.now, "data": data});
    Ok(Reply::json(
        &json!({"id": id, "status": "succeeded", "created": call.now, "expires": call.now + 86_400, "result": result}),
    ))
}
