//! How many bytes an ordinary conversation takes on disk, by column.
//!
//! `cargo run -p store --example disk_per_conversation -- 20000`
//!
//! The conversations differ: words are drawn by Zipf's law from an invented vocabulary, which
//! compresses less well than prose; system prompts repeat, as those of applications do.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use event::{Batch, BodyText, Cursor, Interaction, Json, Message, Sink, Timestamp};
use parquet::file::reader::{FileReader, SerializedFileReader};
use sha2::{Digest, Sha256};
use store::{Store, StoreConfig};

/// 2026-11-23T00:00:00Z.
const MIDNIGHT: i64 = 1_795_392_000_000_000;
const WORDS: u64 = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let store =
        Store::open(folder.path(), StoreConfig::default(), Timestamp::from_unix_micros(MIDNIGHT))?;
    let mut random = Random(42);
    let words: Vec<_> = (0..WORDS).map(|_| random.word()).collect();
    let systems: Vec<_> = (0..40).map(|_| random.text(&words, 800)).collect();
    let mut raw = 0;
    let started_at = Instant::now();
    for first in (0..count).step_by(500) {
        let mut batch = Batch::default();
        for number in first..(first + 500).min(count) {
            let conversation = Conversation::new(number, &mut random, &words, &systems);
            raw += conversation.bytes();
            batch.messages.extend(conversation.messages());
            batch.interactions.push(conversation.interaction());
        }
        batch.cursor = Cursor { applied: first, resume_from: first };
        store.write(&batch).map_err(|error| error as Box<dyn Error>)?;
    }
    let written = started_at.elapsed();
    store.close()?;
    report(&store, folder.path(), count, raw)?;
    println!("generated and written in {written:.1?}, closed after {:.1?}", started_at.elapsed());
    let later = Timestamp::from_unix_micros(MIDNIGHT + 2 * 86_400_000_000);
    store.maintain(later)?;
    println!("\nafter the day is over and merged:");
    report(&store, folder.path(), count, raw)
}

fn report(store: &Store, folder: &Path, count: u64, raw: u64) -> Result<(), Box<dyn Error>> {
    let mut columns: BTreeMap<(u64, String), u64> = BTreeMap::new();
    let mut by_name: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for table in store.status().tables {
        println!(
            "{}: {} rows, {} extents, {} bytes",
            table.name, table.rows, table.extents, table.extent_bytes
        );
        for path in files(&folder.join("tables").join(table.name))? {
            let reader = SerializedFileReader::new(File::open(path)?)?;
            for group in reader.metadata().row_groups() {
                for column in group.columns() {
                    let name = format!("{}.{}", table.name, column.column_path().string());
                    let sizes = by_name.entry(name).or_default();
                    sizes.0 += u64::try_from(column.compressed_size())?;
                    sizes.1 += u64::try_from(column.uncompressed_size())?;
                }
            }
        }
    }
    for (name, (compressed, plain)) in by_name {
        columns.insert((compressed, format!("{name} (encoded {})", plain / count)), compressed);
    }
    for ((bytes, name), _) in columns.iter().rev().take(16) {
        println!("{:8.1}  {name}", *bytes as f64 / count as f64);
    }
    let total: u64 = store.status().tables.iter().map(|table| table.extent_bytes).sum();
    println!("{} bytes raw, {} bytes on disk per conversation", raw / count, total / count);
    Ok(())
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    if !folder.exists() {
        return Ok(all);
    }
    for day in std::fs::read_dir(folder)? {
        for file in std::fs::read_dir(day?.path())? {
            all.push(file?.path());
        }
    }
    Ok(all)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 24] = [
            "the", "in", "er", "an", "re", "on", "at", "en", "nd", "ti", "es", "or", "te", "of",
            "ed", "is", "it", "al", "ar", "st", "to", "nt", "ng", "se",
        ];
        let count = 1 + self.below(4);
        (0..count).map(|_| SYLLABLES[self.below(24) as usize]).collect()
    }

    /// A rank by Zipf's law: the logarithm of the rank is uniform.
    fn rank(&mut self) -> usize {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((WORDS as f64).powf(uniform) - 1.0) as usize
    }

    fn text(&mut self, words: &[String], bytes: usize) -> String {
        let mut text = String::new();
        while text.len() < bytes {
            text.push_str(&words[self.rank()]);
            text.push(if self.below(12) == 0 { '.' } else { ' ' });
        }
        text
    }

    fn hexadecimal(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789abcdef"[self.below(16) as usize])).collect()
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One conversation of about 600 tokens in and 400 out.
struct Conversation {
    number: u64,
    time: i64,
    id: String,
    application: u64,
    texts: [String; 3],
    request: String,
    response: String,
    request_id: String,
    total_time: i64,
    client_request_id: String,
    backend_request_id: String,
}

fn signed(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

impl Conversation {
    fn new(number: u64, random: &mut Random, words: &[String], systems: &[String]) -> Self {
        let time = MIDNIGHT + signed(number * 600_000 + random.below(500_000));
        let application = random.below(40);
        let system = systems[application as usize].clone();
        let (user_bytes, answer_bytes) = (600 + random.below(2_000), 700 + random.below(2_000));
        let user = random.text(words, user_bytes as usize);
        let answer = random.text(words, answer_bytes as usize);
        let request_id = format!("chatcmpl-{}", random.hexadecimal(29));
        let millis = time / 1_000;
        let id = format!(
            "{:08x}-{:04x}-7{}-{}-{}",
            millis >> 16,
            millis & 0xffff,
            random.hexadecimal(3),
            random.hexadecimal(4),
            random.hexadecimal(12)
        );
        Self {
            number,
            time,
            id,
            application,
            request: request_json(&system, &user, application),
            response: response_json(&answer, &request_id, time, (user_bytes, answer_bytes)),
            texts: [system, user, answer],
            request_id,
            total_time: signed(800 + random.below(6_000)),
            client_request_id: random.hexadecimal(32),
            backend_request_id: random.hexadecimal(32),
        }
    }

    fn messages(&self) -> impl Iterator<Item = Message> + '_ {
        let parts = [("prompt", "system"), ("prompt", "user"), ("completion", "assistant")];
        let place = [0, 1, 2];
        parts.into_iter().zip(&self.texts).zip(place).map(|(((direction, role), text), n)| {
            Message {
                time_generated: Timestamp::from_unix_micros(self.time),
                correlation_id: self.id.clone(),
                sequence_number: n,
                direction: direction.into(),
                role: role.into(),
                content_type: "text".into(),
                content: BodyText::Inline(text.clone()),
                kind: "chat".into(),
                model_name: "gpt-4o-mini".into(),
                deployment_name: format!("deployment-{}", self.application % 5),
                apim_subscription_id: format!("subscription-{}", self.application),
                caller_ip_address: self.address(),
                ..Message::default()
            }
        })
    }

    fn address(&self) -> String {
        format!("10.1.{}.{}", self.application, self.number % 200)
    }

    fn headers(&self) -> [String; 2] {
        let length = self.request.len();
        let request = format!(
            r#"{{"host":"gateway.example.com","user-agent":"OpenAI/Python 2.54.0","content-type":"application/json","content-length":"{length}","api-key":"***","x-stainless-lang":"python","x-stainless-os":"Linux","x-stainless-runtime-version":"3.12.4","x-client-request-id":"{}"}}"#,
            self.client_request_id
        );
        let length = self.response.len();
        let response = format!(
            r#"{{"content-type":"application/json","content-length":"{length}","apim-request-id":"{}","x-ms-region":"Sweden Central","x-ratelimit-remaining-requests":"{}","x-ratelimit-remaining-tokens":"{}"}}"#,
            self.backend_request_id,
            self.number * 7_919 % 1_000,
            self.number * 104_729 % 100_000
        );
        [request, response]
    }

    /// Bytes before any encoding.
    fn bytes(&self) -> u64 {
        let headers: usize = self.headers().iter().map(String::len).sum();
        (self.request.len() + self.response.len() + headers) as u64
    }

    fn interaction(&self) -> Interaction {
        let [request_headers, response_headers] = self.headers();
        let (prompt, completion) =
            (signed(self.texts[1].len() / 4), signed(self.texts[2].len() / 4));
        Interaction {
            time_generated: Timestamp::from_unix_micros(self.time),
            correlation_id: self.id.clone(),
            closed_at: Timestamp::from_unix_micros(self.time + self.total_time * 1_000),
            outcome: "complete".into(),
            operation_id: "ChatCompletions_Create".into(),
            surface_operation_id: "createChatCompletion".into(),
            surface: "azure-dated".into(),
            kind: "chat".into(),
            api_version: "2024-10-21".into(),
            method: "POST".into(),
            url: URL.into(),
            caller_ip_address: self.address(),
            peer_port: i32::try_from(self.number * 7_919 % 60_000).unwrap_or(0),
            user_agent: "OpenAI/Python 2.54.0".into(),
            product_id: "standard".into(),
            apim_subscription_id: format!("subscription-{}", self.application),
            user_id: format!("user-{}", self.application),
            request_headers: Json(request_headers.clone()),
            request_body_sha256: sha256(&self.request),
            request_body_bytes: signed(self.request.len()),
            request_body: BodyText::Inline(self.request.clone()),
            response_code: 200,
            response_headers: Json(response_headers.clone()),
            response_body_sha256: sha256(&self.response),
            response_body_bytes: signed(self.response.len()),
            response_body: BodyText::Inline(self.response.clone()),
            backend_id: format!("backend-{}", self.number % 3),
            backend_url: URL.into(),
            backend_request_headers: Json(request_headers),
            backend_response_headers: Json(response_headers),
            backend_response_code: Some(200),
            attempts: 1,
            total_time: self.total_time,
            backend_time: self.total_time - 1,
            client_time: 1,
            gateway_overhead: (self.number * 31 % 2_000) as f64 / 1_000.0,
            is_request_success: true,
            request_id: self.request_id.clone(),
            model_name: "gpt-4o-mini".into(),
            deployment_name: format!("deployment-{}", self.application % 5),
            prompt_tokens: Some(prompt),
            completion_tokens: Some(completion),
            total_tokens: Some(prompt + completion),
            usage_source: "reported".into(),
            finish_reason: "stop".into(),
            ledger_sequence: signed(self.number * 6),
            ..Interaction::default()
        }
    }
}

const URL: &str = "https://gateway.example.com/openai/deployments/gpt-4o-mini/chat/completions\
                   ?api-version=2024-10-21";

fn request_json(system: &str, user: &str, application: u64) -> String {
    format!(
        r#"{{"messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{user}"}}],"model":"gpt-4o-mini","temperature":0.7,"max_tokens":800,"top_p":1,"user":"user-{application}"}}"#
    )
}

fn response_json(answer: &str, request_id: &str, time: i64, bytes: (u64, u64)) -> String {
    let verdicts = r#""hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}"#;
    format!(
        r#"{{"choices":[{{"content_filter_results":{{{verdicts},"protected_material_code":{{"filtered":false,"detected":false}},"protected_material_text":{{"filtered":false,"detected":false}}}},"finish_reason":"stop","index":0,"logprobs":null,"message":{{"annotations":[],"content":"{answer}","refusal":null,"role":"assistant"}}}}],"created":{},"id":"{request_id}","model":"gpt-4o-mini-2024-07-18","object":"chat.completion","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{{{verdicts},"jailbreak":{{"filtered":false,"detected":false}}}}}}],"system_fingerprint":"fp_efad92c60b","usage":{{"completion_tokens":{},"prompt_tokens":{},"total_tokens":{}}}}}"#,
        time / 1_000_000,
        bytes.1 / 4,
        bytes.0 / 4,
        (bytes.0 + bytes.1) / 4
    )
}
