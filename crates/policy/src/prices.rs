//! What tokens, seconds, images and characters cost.

use std::collections::HashMap;
use std::fmt;

use event::Money;
use serde::{Deserialize, Serialize};

const BUILTIN: &str = include_str!("../data/prices.csv");
const PICO_DIGITS: usize = 12;

/// Where a deployment's capacity lies, which decides its price.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentScope {
    /// Global or regional list price.
    #[default]
    GlobalOrDefault,
    /// Global standard, where listed apart.
    GlobalStandard,
    /// Data zone Europe.
    DataZoneEu,
    /// Data zone United States.
    DataZoneUs,
    /// Data zone Asia-Pacific.
    DataZoneApac,
    /// US government.
    UsGov,
}

/// How urgently a call was served, which decides its price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceTier {
    /// As it came.
    #[default]
    Standard,
    /// In a batch, within a day.
    Batch,
    /// Before others.
    Priority,
}

/// Which scope prices have for a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PriceScopeConfig {
    /// Id of the backend; empty for all.
    pub backend: String,
    /// The deployment, as callers name it; empty for all.
    pub deployment: String,
    /// Where its capacity lies.
    pub scope: DeploymentScope,
}

/// What one interaction used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter<'a> {
    /// Model named by the answer, such as `gpt-4o-2024-08-06`.
    pub model: &'a str,
    /// Scope of the deployment.
    pub scope: DeploymentScope,
    /// How urgently it was served.
    pub tier: ServiceTier,
    /// All input tokens, cached and audio ones included.
    pub prompt_tokens: i64,
    /// Input tokens the provider had cached.
    pub cached_tokens: i64,
    /// Audio input tokens.
    pub audio_prompt_tokens: i64,
    /// All output tokens, audio ones included.
    pub completion_tokens: i64,
    /// Audio output tokens.
    pub audio_completion_tokens: i64,
    /// Seconds of audio.
    pub audio_seconds: f64,
    /// Characters of speech input.
    pub characters: i64,
    /// Images made.
    pub images: i64,
    /// Image size asked for, such as `1024x1024`.
    pub image_size: &'a str,
    /// Image quality asked for, such as `hd`.
    pub image_quality: &'a str,
}

/// A cost and the prices it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// US dollars.
    pub cost: Money,
    /// Version of the prices.
    pub version: String,
}

/// The price list.
#[derive(Clone, Debug)]
pub struct Prices {
    rows: HashMap<(String, DeploymentScope), Vec<Row>>,
    scopes: Vec<PriceScopeConfig>,
    version: String,
}

/// A price list that cannot be read; the text names line and column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceError(String);

/// One line of the list: prices in 10⁻¹² dollars per million tokens, or per unit.
#[derive(Clone, Debug, Default)]
struct Row {
    quality: String,
    size: String,
    input: Option<i128>,
    cached_input: Option<i128>,
    output: Option<i128>,
    batch_input: Option<i128>,
    batch_output: Option<i128>,
    priority_input: Option<i128>,
    priority_output: Option<i128>,
    audio_input: Option<i128>,
    audio_output: Option<i128>,
    image_output: Option<i128>,
    long_threshold: Option<i64>,
    long_input: Option<i128>,
    long_output: Option<i128>,
    per_character: Option<i128>,
    per_second: Option<i128>,
    per_image: Option<i128>,
}

impl Prices {
    /// The list that ships with Gatehouse.
    pub fn builtin() -> Self {
        Self::from_csv(BUILTIN).expect("the built-in price list is covered by a test")
    }

    /// Reads a list in the format of the built-in one (see the reference page on prices).
    pub fn from_csv(text: &str) -> Result<Self, PriceError> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|e| PriceError(e.to_string()))?.clone();
        let mut rows: HashMap<_, Vec<Row>> = HashMap::new();
        let mut version = String::new();
        for record in reader.records() {
            let record = record.map_err(|e| PriceError(e.to_string()))?;
            let line = Line { headers: &headers, record: &record };
            let as_of = line.text("as_of");
            if as_of > version.as_str() {
                version = as_of.to_owned();
            }
            let key = (line.text("model").to_ascii_lowercase(), line.scope()?);
            rows.entry(key).or_default().push(line.row()?);
        }
        if rows.is_empty() {
            return Err(PriceError("the price list holds no price".into()));
        }
        Ok(Self { rows, scopes: Vec::new(), version })
    }

    /// The same list for deployments in these scopes; the first entry that fits holds.
    pub fn scoped(self, scopes: &[PriceScopeConfig]) -> Self {
        Self { scopes: scopes.to_vec(), ..self }
    }

    /// Version of the list: the newest date in it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The scope of a deployment on a backend.
    pub fn scope_of(&self, backend: &str, deployment: &str) -> DeploymentScope {
        let fits =
            |wanted: &str, name: &str| wanted.is_empty() || wanted.eq_ignore_ascii_case(name);
        let found = self
            .scopes
            .iter()
            .find(|entry| fits(&entry.backend, backend) && fits(&entry.deployment, deployment));
        found.map_or_else(DeploymentScope::default, |entry| entry.scope)
    }

    /// Prices an interaction; none if its model is not listed or nothing of what it used has a price.
    pub fn price(&self, meter: &Meter<'_>) -> Option<Priced> {
        let rows = self.find(meter.model, meter.scope)?;
        let row = rows.iter().find(|row| row.fits_image(meter)).unwrap_or(&rows[0]);
        let cost = row.tokens(meter).or_else(|| row.units(meter))?;
        Some(Priced { cost: Money(cost), version: self.version.clone() })
    }

    /// By full name, else without the date suffix; the scope's own price, else the default one.
    fn find(&self, model: &str, scope: DeploymentScope) -> Option<&[Row]> {
        let model = model.to_ascii_lowercase();
        let candidates = [model.as_str(), without_version(&model)];
        candidates.iter().find_map(|name| {
            let scoped = self.rows.get(&((*name).to_owned(), scope));
            scoped
                .or_else(|| self.rows.get(&((*name).to_owned(), DeploymentScope::GlobalOrDefault)))
                .map(Vec::as_slice)
        })
    }
}

impl Row {
    fn fits_image(&self, meter: &Meter<'_>) -> bool {
        let fits = |listed: &str, asked: &str, default: &str| {
            listed.is_empty() || listed == if asked.is_empty() { default } else { asked }
        };
        fits(&self.size, meter.image_size, "1024x1024")
            && fits(&self.quality, meter.image_quality, "standard")
    }

    /// Cost by tokens; none if no token is known or a kind of token that was used has no price.
    fn tokens(&self, meter: &Meter<'_>) -> Option<i128> {
        if meter.prompt_tokens == 0 && meter.completion_tokens == 0 {
            return None;
        }
        let is_long = self.long_threshold.is_some_and(|most| meter.prompt_tokens > most);
        let long = |long: Option<i128>, usual| if is_long { long.or(usual) } else { usual };
        let usual_output = self.output.or(self.image_output);
        let (input, cached, output) = match meter.tier {
            ServiceTier::Standard => {
                let input = long(self.long_input, self.input);
                (input, self.cached_input.or(input), long(self.long_output, usual_output))
            }
            // The list has no cached price for these.
            ServiceTier::Batch => {
                let input = self.batch_input.or(self.input);
                (input, input, self.batch_output.or(usual_output))
            }
            ServiceTier::Priority => {
                let input = self.priority_input.or(self.input);
                (input, input, self.priority_output.or(usual_output))
            }
        };
        let text_in = meter.prompt_tokens - meter.cached_tokens - meter.audio_prompt_tokens;
        let text_out = meter.completion_tokens - meter.audio_completion_tokens;
        let parts = [
            (text_in, input),
            (meter.cached_tokens, cached),
            (meter.audio_prompt_tokens, self.audio_input.or(input)),
            (text_out, output),
            (meter.audio_completion_tokens, self.audio_output.or(output)),
        ];
        let mut per_million = 0i128;
        for (tokens, price) in parts {
            if tokens > 0 {
                per_million = per_million.checked_add(i128::from(tokens).checked_mul(price?)?)?;
            }
        }
        Some((per_million + 500_000) / 1_000_000)
    }

    /// Cost by images, seconds or characters.
    fn units(&self, meter: &Meter<'_>) -> Option<i128> {
        if let (Some(price), 1..) = (self.per_image, meter.images) {
            return price.checked_mul(i128::from(meter.images));
        }
        if let (Some(price), true) = (self.per_second, meter.audio_seconds > 0.0) {
            let millis = (meter.audio_seconds * 1_000.0).round();
            return Some(price.checked_mul(millis as i128)? / 1_000);
        }
        let price = self.per_character.filter(|_| meter.characters > 0)?;
        price.checked_mul(i128::from(meter.characters))
    }
}

/// `gpt-4o-2024-08-06` → `gpt-4o`, `gpt-35-turbo-0613` → `gpt-35-turbo`.
fn without_version(model: &str) -> &str {
    let is_digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((rest, last)) = model.rsplit_once('-') {
        if is_digits(last, 4) {
            return rest;
        }
        let dated = rest.rsplit_once('-').and_then(|(rest, month)| {
            let (name, year) = rest.rsplit_once('-')?;
            (is_digits(last, 2) && is_digits(month, 2) && is_digits(year, 4)).then_some(name)
        });
        return dated.unwrap_or(model);
    }
    model
}

struct Line<'a> {
    headers: &'a csv::StringRecord,
    record: &'a csv::StringRecord,
}

impl<'a> Line<'a> {
    fn text(&self, column: &str) -> &'a str {
        let index = self.headers.iter().position(|header| header == column);
        index.and_then(|index| self.record.get(index)).unwrap_or("").trim()
    }

    fn scope(&self) -> Result<DeploymentScope, PriceError> {
        Ok(match self.text("deployment_scope") {
            "global-or-default" | "" => DeploymentScope::GlobalOrDefault,
            "global-standard" => DeploymentScope::GlobalStandard,
            "data-zone-eu" => DeploymentScope::DataZoneEu,
            "data-zone-us" => DeploymentScope::DataZoneUs,
            "data-zone-apac" => DeploymentScope::DataZoneApac,
            "us-gov" => DeploymentScope::UsGov,
            other => return Err(self.wrong("deployment_scope", other)),
        })
    }

    fn row(&self) -> Result<Row, PriceError> {
        Ok(Row {
            quality: self.text("quality").to_owned(),
            size: self.text("size").to_owned(),
            input: self.dollars("input_per_1m")?,
            cached_input: self.dollars("cached_input_per_1m")?,
            output: self.dollars("output_per_1m")?,
            batch_input: self.dollars("batch_input_per_1m")?,
            batch_output: self.dollars("batch_output_per_1m")?,
            priority_input: self.dollars("priority_input_per_1m")?,
            priority_output: self.dollars("priority_output_per_1m")?,
            audio_input: self.dollars("audio_input_per_1m")?,
            audio_output: self.dollars("audio_output_per_1m")?,
            image_output: self.dollars("image_output_per_1m")?,
            long_threshold: self.count("long_context_threshold_tokens")?,
            long_input: self.dollars("long_input_per_1m")?,
            long_output: self.dollars("long_output_per_1m")?,
            per_character: self.dollars("per_character")?,
            per_second: self.dollars("per_second")?,
            per_image: self.dollars("per_image")?,
        })
    }

    fn dollars(&self, column: &str) -> Result<Option<i128>, PriceError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        pico(text).map(Some).ok_or_else(|| self.wrong(column, text))
    }

    fn count(&self, column: &str) -> Result<Option<i64>, PriceError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.wrong(column, text))
    }

    fn wrong(&self, column: &str, text: &str) -> PriceError {
        let line = self.record.position().map_or(0, csv::Position::line);
        PriceError(format!(
            "line {line}, column {column}: `{text}` is not a price with at most {PICO_DIGITS} decimals"
        ))
    }
}

/// Decimal text to 10⁻¹² dollars, exactly.
fn pico(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.len() > PICO_DIGITS || !is_number(whole) || !is_number(fraction) || text == "." {
        return None;
    }
    format!("{whole}{fraction:0<PICO_DIGITS$}").parse().ok()
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PriceError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(meter: &Meter<'_>) -> Option<i128> {
        Prices::builtin().price(meter).map(|priced| priced.cost.0)
    }

    #[test]
    fn tokens_are_priced_exactly_cached_ones_apart() {
        let meter = Meter {
            model: "gpt-4o-2024-08-06",
            prompt_tokens: 600,
            cached_tokens: 100,
            completion_tokens: 400,
            ..Meter::default()
        };
        // 500 × 2.50 + 100 × 1.25 + 400 × 10.00 dollars per million
        assert_eq!(dollars(&meter), Some(5_375_000_000));
    }

    #[test]
    fn a_scope_without_a_price_of_its_own_takes_the_default() {
        let meter = Meter { model: "gpt-4o", prompt_tokens: 1_000_000, ..Meter::default() };
        let eu = Meter { scope: DeploymentScope::DataZoneEu, ..meter.clone() };
        let gov = Meter { scope: DeploymentScope::UsGov, ..meter.clone() };
        assert_eq!(dollars(&meter), Some(2_500_000_000_000));
        assert_eq!(dollars(&eu), Some(2_750_000_000_000));
        assert_eq!(dollars(&gov), dollars(&meter));
    }

    #[test]
    fn scopes_go_by_backend_and_deployment_and_the_first_that_fits_holds() {
        let entry = |backend: &str, deployment: &str, scope| PriceScopeConfig {
            backend: backend.into(),
            deployment: deployment.into(),
            scope,
        };
        let prices = Prices::builtin().scoped(&[
            entry("west", "gpt-4o", DeploymentScope::GlobalStandard),
            entry("west", "", DeploymentScope::DataZoneEu),
        ]);
        assert_eq!(prices.scope_of("west", "GPT-4o"), DeploymentScope::GlobalStandard);
        assert_eq!(prices.scope_of("west", "o3"), DeploymentScope::DataZoneEu);
        assert_eq!(prices.scope_of("east", "o3"), DeploymentScope::GlobalOrDefault);
    }

    #[test]
    fn batches_cost_less_and_priority_more() {
        let meter = Meter {
            model: "gpt-4.1",
            prompt_tokens: 1_000_000,
            completion_tokens: 1_000_000,
            ..Meter::default()
        };
        let of = |tier| dollars(&Meter { tier, ..meter.clone() }).expect("listed") / 1_000_000_000;
        assert_eq!(of(ServiceTier::Standard), 10_000);
        assert_eq!(of(ServiceTier::Batch), 5_000);
        assert_eq!(of(ServiceTier::Priority), 17_500);
    }

    #[test]
    fn images_seconds_and_characters_have_prices() {
        let image = Meter { model: "dall-e-3", images: 2, ..Meter::default() };
        assert_eq!(dollars(&image), Some(88_000_000_000));
        let hd = Meter { image_quality: "hd", image_size: "1792x1024", ..image };
        assert_eq!(dollars(&hd), Some(264_000_000_000));
        let whisper = Meter { model: "whisper-1", audio_seconds: 2.5, ..Meter::default() };
        assert_eq!(dollars(&whisper), Some(250_000_000));
        let speech = Meter { model: "tts-1", characters: 10, ..Meter::default() };
        assert_eq!(dollars(&speech), Some(150_000_000));
    }

    #[test]
    fn an_unlisted_model_is_unpriced() {
        let meter = Meter { model: "home-made", prompt_tokens: 10, ..Meter::default() };
        assert_eq!(dollars(&meter), None);
    }

    #[test]
    fn a_broken_list_names_line_and_column() {
        let error = Prices::from_csv("model,input_per_1m\ngpt,dear\n").expect_err("not a number");
        assert!(error.to_string().starts_with("line 2, column input_per_1m: `dear`"), "{error}");
    }

    #[test]
    fn versions_are_cut_off_model_names() {
        for (full, short) in [
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("gpt-35-turbo-0613", "gpt-35-turbo"),
            ("gpt-4o", "gpt-4o"),
            ("o3", "o3"),
        ] {
            assert_eq!(without_version(full), short);
        }
    }
}
