//! Speech to text in every format, and text to speech.

use serde_json::{Value, json};

use crate::call::{Call, Reply, model_label};
use crate::failure::Failure;
use crate::fault::Fault;
use crate::media;
use crate::models::{self, Task};
use crate::payload::FormFile;
use crate::script::{Deltas, Lane, PIECE, Script, Segment};
use crate::text::{Answer, Words, hash};
use crate::usage::Used;

/// Largest sound accepted.
const SOUND_BYTES_MAX: u64 = 25 << 20;
/// Longest text to be spoken, in characters.
const SPEECH_CHARS_MAX: usize = 4096;
/// Bytes taken to be one second of sound.
const BYTES_PER_SECOND: u64 = 16_000;
/// Tokens in each segment of a transcript.
const SEGMENT_TOKENS: u64 = 12;

/// What was heard.
struct Heard {
    answer: Words,
    seconds: f64,
    language: String,
    /// A model billed by tokens, not by time.
    by_tokens: bool,
    audio_tokens: u64,
}

/// `POST audio/transcriptions` and `audio/translations`.
pub(crate) fn transcribe(call: &Call<'_>, translation: bool) -> Result<Reply, Failure> {
    let form = call.form()?;
    let deployment = models::serve(call, form.field("model"), Task::Transcription)?;
    let file = form.file("file").ok_or_else(|| Failure::missing("file"))?;
    if file.bytes > SOUND_BYTES_MAX {
        let message = format!(
            "Maximum content size limit ({SOUND_BYTES_MAX}) exceeded ({} bytes read)",
            file.bytes
        );
        return Err(Failure::bad_request(message));
    }
    let heard = hear(
        call,
        file,
        form.field("language"),
        translation,
        deployment.model.contains("transcribe"),
    );
    let stream = form.field("stream") == Some("true") && heard.by_tokens && !translation;
    let reply = if stream {
        stream_transcript(call, &heard, form.field("response_format") == Some("diarized_json"))
    } else {
        formatted(call, &heard, form.field("response_format").unwrap_or("json"), translation)?
    };
    let tokens = heard.answer.tokens;
    let reply = reply.using(heard.used(call, &model_label(&deployment)));
    models::charge(
        call,
        &deployment,
        heard.audio_tokens,
        if stream { reply } else { reply.after(tokens) },
    )
}

impl Heard {
    /// Models that do not count tokens are billed by the second begun.
    fn used(&self, call: &Call<'_>, model: &str) -> Used {
        let is_told = !call.faults.has(&Fault::NoUsage);
        let used = Used { model: model.to_owned(), is_told, ..Used::default() };
        if !self.by_tokens {
            return Used { seconds: self.seconds.ceil(), ..used };
        }
        Used {
            prompt_tokens: self.audio_tokens,
            audio_prompt_tokens: self.audio_tokens,
            completion_tokens: self.answer.tokens,
            ..used
        }
    }
}

fn hear(
    call: &Call<'_>,
    file: &FormFile,
    language: Option<&str>,
    translation: bool,
    by_tokens: bool,
) -> Heard {
    let seed = hash(call.instance.config.seed, file.sha256.as_bytes());
    let seconds = (file.bytes.max(1) as f64 / BYTES_PER_SECOND as f64).max(0.1);
    let natural = ((seconds * 2.5) as u64).clamp(8, 4000);
    let answer = Words { seed, tokens: call.sim_tokens().unwrap_or(natural).min(1_000_000) };
    let spoken = if translation { "english" } else { language.unwrap_or("english") };
    Heard {
        answer,
        seconds,
        language: spoken.to_owned(),
        by_tokens,
        audio_tokens: (seconds * 10.0).ceil() as u64,
    }
}

fn formatted(
    call: &Call<'_>,
    heard: &Heard,
    format: &str,
    translation: bool,
) -> Result<Reply, Failure> {
    let words = Answer::Words(heard.answer);
    let plain = |text: String| Reply::new("text/plain; charset=utf-8", Script::bytes(text));
    Ok(match format {
        "json" => {
            let mut value = json!({"text": words.for_json()});
            if !call.faults.has(&Fault::NoUsage) {
                value["usage"] = usage(heard);
            }
            Reply::json(&value)
        }
        "text" => plain(format!("{}\n", heard.answer.text())),
        "srt" => plain(subtitles(heard, true)),
        "vtt" => plain(format!("WEBVTT\n\n{}", subtitles(heard, false))),
        "verbose_json" => {
            let segments: Vec<Value> = segments(heard).map(|segment| segment.value()).collect();
            Reply::json(&json!({
                "task": if translation { "translate" } else { "transcribe" },
                "language": heard.language,
                "duration": heard.seconds,
                "text": words.for_json(),
                "segments": segments,
                "usage": usage(heard),
            }))
        }
        "diarized_json" => {
            let segments: Vec<Value> = segments(heard).map(|segment| segment.spoken()).collect();
            Reply::json(
                &json!({"task": "transcribe", "duration": heard.seconds, "text": words.for_json(), "segments": segments, "usage": usage(heard)}),
            )
        }
        _ => {
            return Err(Failure::invalid(
                "response_format",
                "expected json, text, srt, verbose_json or vtt",
            ));
        }
    })
}

fn usage(heard: &Heard) -> Value {
    if !heard.by_tokens {
        return json!({"type": "duration", "seconds": heard.seconds.ceil() as u64});
    }
    json!({
        "type": "tokens",
        "input_tokens": heard.audio_tokens,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard.audio_tokens},
        "output_tokens": heard.answer.tokens,
        "total_tokens": heard.audio_tokens + heard.answer.tokens,
    })
}

struct SegmentOf {
    index: u64,
    start: f64,
    end: f64,
    text: String,
    tokens: u64,
}

impl SegmentOf {
    fn value(&self) -> Value {
        json!({
            "id": self.index,
            "seek": 0,
            "start": self.start,
            "end": self.end,
            "text": self.text,
            "tokens": (0..self.tokens).map(|token| 50_364 + token).collect::<Vec<_>>(),
            "temperature": 0.0,
            "avg_logprob": -0.25,
            "compression_ratio": 1.1,
            "no_speech_prob": 0.01,
        })
    }

    fn spoken(&self) -> Value {
        let speaker = if self.index.is_multiple_of(2) { "A" } else { "B" };
        json!({"id": format!("seg_{:03}", self.index), "type": "transcript.text.segment", "speaker": speaker, "start": self.start, "end": self.end, "text": self.text})
    }
}

fn segments(heard: &Heard) -> impl Iterator<Item = SegmentOf> {
    let (words, seconds) = (heard.answer, heard.seconds);
    let each = seconds / words.tokens.max(1) as f64;
    (0..words.tokens.div_ceil(SEGMENT_TOKENS)).map(move |index| {
        let from = index * SEGMENT_TOKENS;
        let to = (from + SEGMENT_TOKENS).min(words.tokens);
        let mut text = Vec::new();
        (from..to).for_each(|token| words.push(token, &mut text));
        let text = String::from_utf8(text).expect("the words are ASCII");
        SegmentOf {
            index,
            start: from as f64 * each,
            end: to as f64 * each,
            text,
            tokens: to - from,
        }
    })
}

fn subtitles(heard: &Heard, numbered: bool) -> String {
    let mark = if numbered { ',' } else { '.' };
    let mut out = String::new();
    for segment in segments(heard) {
        if numbered {
            out.push_str(&format!("{}\n", segment.index + 1));
        }
        let times = format!("{} --> {}", clock(segment.start, mark), clock(segment.end, mark));
        out.push_str(&format!("{times}\n{}\n\n", segment.text.trim_start()));
    }
    out
}

fn clock(seconds: f64, mark: char) -> String {
    let ms = (seconds * 1000.0) as u64;
    format!(
        "{:02}:{:02}:{:02}{mark}{:03}",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000
    )
}

/// These streams end their lines with CRLF.
fn stream_transcript(call: &Call<'_>, heard: &Heard, diarized: bool) -> Reply {
    let mut script = Script::default();
    let answer = Answer::Words(heard.answer);
    if diarized {
        segments(heard).for_each(|segment| script.event_crlf(&segment.spoken()));
    } else {
        let delta = json!({"type": "transcript.text.delta", "delta": PIECE});
        let lane = Lane::new("data: ", &delta, "\r\n\r\n", answer.clone(), 1);
        script.push(Segment::Deltas(Deltas::new(vec![lane], 0)));
    }
    let mut done = json!({"type": "transcript.text.done", "text": answer.for_json()});
    if !call.faults.has(&Fault::NoUsage) {
        done["usage"] = usage(heard);
    }
    script.event_crlf(&done);
    script.push_bytes(&b"data: [DONE]\r\n\r\n"[..]);
    Reply::stream(script)
}

/// `POST audio/speech`.
pub(crate) fn speak(call: &Call<'_>) -> Result<Reply, Failure> {
    let deployment = models::serve(call, call.text("model"), Task::Speech)?;
    let input = call.need_text("input")?;
    if input.chars().count() > SPEECH_CHARS_MAX {
        return Err(Failure::invalid("input", "expected at most 4096 characters")
            .with_code("string_above_max_length"));
    }
    if call.field("voice").is_none() {
        return Err(Failure::missing("voice"));
    }
    let format = call.text("response_format").unwrap_or("mp3");
    let mut prompt = call.prompt();
    prompt.add(input);
    let tokens = prompt.tokens * 5;
    let (kind, bytes) = media::sound(format, tokens).ok_or_else(|| {
        Failure::invalid("response_format", "expected mp3, opus, aac, flac, wav or pcm")
    })?;
    let reply = if call.text("stream_format") == Some("sse") {
        speech_events(call, &bytes, prompt.tokens, tokens)
    } else {
        // In pieces, as the service sends it: without a length.
        let mut script = Script::default();
        bytes.chunks(4096).for_each(|piece| script.push_bytes(piece.to_vec()));
        script.push(Segment::Words { words: Words { seed: 0, tokens: 0 }, next: 0 });
        Reply::new(kind, script)
    };
    let used = Used {
        model: model_label(&deployment),
        characters: input.chars().count() as u64,
        is_told: true,
        ..Used::default()
    };
    models::charge(call, &deployment, prompt.chars / 4, reply.using(used))
}

fn speech_events(call: &Call<'_>, bytes: &[u8], input: u64, output: u64) -> Reply {
    use base64::Engine;
    let mut script = Script::default();
    for piece in bytes.chunks(3072) {
        let audio = base64::engine::general_purpose::STANDARD.encode(piece);
        script.event_crlf(&json!({"type": "speech.audio.delta", "audio": audio}));
    }
    let mut done = json!({"type": "speech.audio.done"});
    if !call.faults.has(&Fault::NoUsage) {
        done["usage"] =
            json!({"input_tokens": input, "output_tokens": output, "total_tokens": input + output});
    }
    script.event_crlf(&done);
    script.push_bytes(&b"data: [DONE]\r\n\r\n"[..]);
    Reply::stream(script)
}
