//! Conversations as an organisation has them, the same for the same number: words by Zipf's law from
//! an invented vocabulary, some users with much to say, several models, backends and errors.

use std::fmt::Write as _;

use event::{BodyText, Interaction, Json, Message, Money, Timestamp};

/// 2026-09-01T00:00:00Z.
pub(crate) const START_MICROS: i64 = 1_788_220_800_000_000;
/// The rows are spread over so many days.
const DAYS: u64 = 30;
const DAY_MICROS: u64 = 86_400_000_000;
const WORDS: usize = 30_000;
/// One prompt of so many has the words that searches look for.
const SELDOM: u64 = 5_003;
const MODELS: [(&str, i128); 5] = [
    ("gpt-4o-mini-2024-07-18", 600_000),
    ("gpt-4o-2024-08-06", 10_000_000),
    ("gpt-4.1-2025-04-14", 8_000_000),
    ("gpt-35-turbo-0125", 1_500_000),
    ("o3-mini-2025-01-31", 4_400_000),
];

/// Makes them.
pub(crate) struct Conversations {
    count: u64,
    words: Vec<String>,
}

impl Conversations {
    pub(crate) fn new(count: u64) -> Self {
        let mut random = Random(7);
        let words = (0..WORDS).map(|_| random.word()).collect();
        Self { count: count.max(1), words }
    }

    /// After the last.
    pub(crate) fn end(&self) -> Timestamp {
        let micros = i64::try_from((DAYS + 1) * DAY_MICROS).unwrap_or(i64::MAX);
        Timestamp::from_unix_micros(START_MICROS + micros)
    }

    fn time(&self, number: u64) -> i64 {
        let micros = u128::from(number) * u128::from(DAYS * DAY_MICROS) / u128::from(self.count);
        START_MICROS + i64::try_from(micros).unwrap_or(i64::MAX)
    }

    /// The id of a conversation.
    pub(crate) fn id_of(&self, number: u64) -> String {
        let millis = self.time(number) / 1_000;
        let tail = Random(number).next();
        format!(
            "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
            millis >> 16,
            millis & 0xffff,
            tail & 0xfff,
            (tail >> 12) & 0xfff,
            tail >> 16
        )
    }

    /// One of them, with its messages.
    pub(crate) fn make(&mut self, number: u64) -> (Interaction, Vec<Message>) {
        let mut random = Random(number ^ 0x5bd1_e995);
        let mut prompt = self.text(&mut random, 700, 600);
        if number % SELDOM == SELDOM / 2 {
            prompt.push_str(" and so it came to Zugzwang in the end.");
        }
        let answer = self.text(&mut random, 300, 500);
        let system = format!(
            "You are the assistant of department {}. Answer briefly, and say when you do not know.",
            number % 40
        );
        let is_refused = random.below(50) == 0;
        let row = self.interaction(number, &mut random, [&system, &prompt, &answer], is_refused);
        let said = [("prompt", "system", system), ("prompt", "user", prompt)];
        let told = [("completion", "assistant", answer)];
        let told = told.into_iter().filter(|_| !is_refused);
        let messages = said.into_iter().chain(told).enumerate();
        let messages = messages.map(|(place, (direction, role, text))| Message {
            time_generated: row.time_generated,
            correlation_id: row.correlation_id.clone(),
            sequence_number: i32::try_from(place).unwrap_or(0),
            direction: direction.into(),
            role: role.into(),
            content_type: "text".into(),
            content: BodyText::Inline(text),
            kind: row.kind.clone(),
            model_name: row.model_name.clone(),
            deployment_name: row.deployment_name.clone(),
            apim_subscription_id: row.apim_subscription_id.clone(),
            caller_ip_address: row.caller_ip_address.clone(),
            ..Message::default()
        });
        let messages = messages.collect();
        (row, messages)
    }

    fn text(&self, random: &mut Random, least: u64, more: u64) -> String {
        let bytes = (least + random.below(more)) as usize;
        let mut text = String::with_capacity(bytes + 32);
        while text.len() < bytes {
            text.push_str(&self.words[random.rank(WORDS)]);
            text.push_str(if random.below(12) == 0 { ". " } else { " " });
        }
        text
    }

    fn interaction(
        &self,
        number: u64,
        random: &mut Random,
        [system, prompt, answer]: [&str; 3],
        is_refused: bool,
    ) -> Interaction {
        let user = random.rank(5_000);
        let (model, price) = MODELS[random.rank(MODELS.len())];
        let deployment = model.split("-20").next().unwrap_or(model);
        let (asked, told) = (prompt.len() as i64 / 4, answer.len() as i64 / 4);
        let time = self.time(number);
        let status = if is_refused { [429, 500, 400][random.rank(3)] } else { 200 };
        let took = 300 + random.rank(9_000) as i64;
        let url = format!(
            "https://gateway.example.com/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21"
        );
        let mut row = Interaction {
            time_generated: Timestamp::from_unix_micros(time),
            correlation_id: self.id_of(number),
            closed_at: Timestamp::from_unix_micros(time + took * 1_000),
            outcome: "complete".into(),
            operation_id: "ChatCompletions_Create".into(),
            surface: "azure-dated".into(),
            kind: "chat".into(),
            method: "POST".into(),
            url: url.clone(),
            backend_url: url,
            caller_ip_address: format!("10.{}.{}.{}", user % 4, user / 250, user % 250),
            user_id: format!("user-{user}"),
            apim_subscription_id: format!("subscription-{}", user % 200),
            product_id: format!("product-{}", user % 5),
            request_headers: Json(format!(
                r#"{{"content-type":"application/json","user-agent":"OpenAI/Python 2.54.0","x-client-request-id":"{:016x}"}}"#,
                random.next()
            )),
            request_body: BodyText::Inline(request(system, prompt)),
            response_code: status,
            is_request_success: !is_refused,
            backend_id: format!("backend-{}", random.rank(6)),
            backend_response_code: Some(status),
            total_time: took,
            backend_time: took - 1,
            deployment_name: deployment.into(),
            ledger_sequence: number as i64 * 6,
            ..Interaction::default()
        };
        if is_refused {
            row.response_body = BodyText::Inline(
                r#"{"error":{"code":"429","message":"Requests have exceeded the rate limit."}}"#
                    .into(),
            );
            return row;
        }
        row.request_id = format!("chatcmpl-{:016x}", random.next());
        row.response_body =
            BodyText::Inline(response(answer, &row.request_id, model, (asked, told)));
        row.model_name = model.into();
        row.prompt_tokens = Some(asked);
        row.completion_tokens = Some(told);
        row.total_tokens = Some(asked + told);
        row.usage_source = "reported".into();
        row.finish_reason = "stop".into();
        row.cost_usd = Some(Money(i128::from(asked + told) * price));
        row
    }
}

fn request(system: &str, prompt: &str) -> String {
    format!(
        r#"{{"messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{prompt}"}}],"temperature":0.7,"max_tokens":800}}"#
    )
}

fn response(answer: &str, id: &str, model: &str, (asked, told): (i64, i64)) -> String {
    let verdicts = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;
    let mut text = String::with_capacity(answer.len() + 800);
    let _ = write!(
        text,
        r#"{{"choices":[{{"content_filter_results":{verdicts},"finish_reason":"stop","index":0,"logprobs":null,"message":{{"content":"{answer}","refusal":null,"role":"assistant"}}}}],"created":1788220800,"id":"{id}","model":"{model}","object":"chat.completion","system_fingerprint":"fp_efad92c60b","usage":{{"completion_tokens":{told},"prompt_tokens":{asked},"total_tokens":{}}}}}"#,
        asked + told
    );
    text
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A rank by Zipf's law: the logarithm of the rank is uniform.
    fn rank(&mut self, count: usize) -> usize {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (((count as f64).powf(uniform)) as usize - 1).min(count - 1)
    }

    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 24] = [
            "the", "in", "er", "an", "re", "on", "at", "en", "nd", "ti", "es", "or", "te", "of",
            "ed", "is", "it", "al", "ar", "st", "to", "nt", "ng", "se",
        ];
        let count = 1 + self.below(4);
        (0..count).map(|_| SYLLABLES[self.below(24) as usize]).collect()
    }
}
