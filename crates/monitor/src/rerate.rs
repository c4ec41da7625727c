//! Re-rating: what past calls cost at the prices that hold now. Rows keep what they cost when they were
//! written; the difference becomes rows of `CostAdjustments`, day by day. Rating a day anew twice adds nothing,
//! since earlier adjustments are part of what it cost before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event::{CostAdjustment, Json, Money, Timestamp};
use kql::{Access, FileFormat, Options};
use policy::{Meter, Prices, ServiceTier};
use serde::{Deserialize, Serialize};

/// Most combinations of subscription, product, user, groups, model and deployment within one day.
const GROUPS_MAX: usize = 100_000;
/// Longest time that the calls of one day may take.
const DAY_TIMEOUT: Duration = Duration::from_secs(600);
/// Most bytes of what is read of one day: some hundred million calls.
const DAY_BYTES_MAX: u64 = 64 << 30;
/// Decimals of a dollar.
const PICO_DIGITS: usize = 12;

/// Rates days anew.
pub struct Rerating {
    /// Answers KQL.
    pub engine: Arc<dyn kql::Engine>,
    /// The prices that hold now.
    pub prices: Arc<Prices>,
    /// Now.
    pub at: Timestamp,
}

/// What a re-rating finds, of the same subscription and model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Calls that cost something.
    pub calls: i64,
    /// Calls that used tokens and have no price now either.
    pub unpriced_calls: i64,
    /// What they cost so far.
    pub before: Money,
    /// What they cost at the prices that hold now.
    pub after: Money,
}

/// Who used what, with what: what an adjustment is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    apim_subscription_id: String,
    product_id: String,
    user_id: String,
    caller_groups: String,
    model_name: String,
    deployment_name: String,
}

/// What is read of one call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Call {
    #[serde(flatten)]
    group: Group,
    backend_id: String,
    tier: String,
    prompt_tokens: Option<i64>,
    cached_tokens: Option<i64>,
    audio_prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    audio_completion_tokens: Option<i64>,
    total_tokens: Option<i64>,
    audio_seconds: Option<f64>,
    images: Option<i64>,
    image_size: String,
    image_quality: String,
    characters: Option<i64>,
    is_request_success: bool,
    cost: String,
}

/// What earlier re-ratings added.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Earlier {
    #[serde(flatten)]
    group: Group,
    cost: String,
    priced: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    calls: i64,
    priced_calls: i64,
    unpriced_calls: i64,
    before: i128,
    after: i128,
}

/// Differences by subscription and model.
pub type Differences = BTreeMap<(String, String), Difference>;

impl Rerating {
    /// What to add for the calls of one UTC day, written as `2026-11-28`; sums go into `found`.
    pub async fn day(
        &self,
        day: &str,
        found: &mut Differences,
    ) -> Result<Vec<CostAdjustment>, String> {
        let day = day.parse::<chrono::NaiveDate>().map_err(|_| format!("`{day}` is no day"))?;
        let mut sums: BTreeMap<Group, Sum> = BTreeMap::new();
        self.each_line(&calls_of(day), |line| {
            let call: Call = serde_json::from_str(line).map_err(|error| error.to_string())?;
            self.add(&mut sums, &call)
        })
        .await?;
        self.each_line(&earlier_of(day), |line| {
            let earlier: Earlier = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let sum = sums.entry(earlier.group).or_default();
            sum.before += picos(&earlier.cost)?;
            sum.priced_calls -= earlier.priced;
            Ok(())
        })
        .await?;
        let start = day.and_time(chrono::NaiveTime::MIN).and_utc();
        let start = Timestamp::from_unix_micros(start.timestamp_micros());
        let mut adjustments = Vec::new();
        for (group, sum) in sums {
            let name = (group.apim_subscription_id.clone(), group.model_name.clone());
            let difference = found.entry(name).or_default();
            difference.calls += sum.calls;
            difference.unpriced_calls += sum.unpriced_calls;
            difference.before.0 += sum.before;
            difference.after.0 += sum.after;
            if sum.before != sum.after || sum.priced_calls != 0 {
                adjustments.push(self.adjustment(start, group, sum));
            }
        }
        Ok(adjustments)
    }

    fn adjustment(&self, day: Timestamp, group: Group, sum: Sum) -> CostAdjustment {
        CostAdjustment {
            time_generated: day,
            adjusted_at: self.at,
            product_id: group.product_id,
            apim_subscription_id: group.apim_subscription_id,
            user_id: group.user_id,
            caller_groups: Json(group.caller_groups),
            model_name: group.model_name,
            deployment_name: group.deployment_name,
            calls: sum.calls,
            priced_calls: sum.priced_calls,
            cost_usd: Money(sum.after - sum.before),
            price_version: self.prices.version().to_owned(),
            ledger_sequence: 0,
        }
    }

    /// Rates one call. What has no price now keeps what it cost.
    fn add(&self, sums: &mut BTreeMap<Group, Sum>, call: &Call) -> Result<(), String> {
        if sums.len() >= GROUPS_MAX && !sums.contains_key(&call.group) {
            return Err(format!(
                "there are more than {GROUPS_MAX} users and deployments in one day"
            ));
        }
        let before = if call.cost.is_empty() { None } else { Some(picos(&call.cost)?) };
        let after = self.prices.price(&call.meter(&self.prices)).map(|priced| priced.cost.0);
        let has_tokens = call.total_tokens.unwrap_or(0) > 0;
        let sum = sums.entry(call.group.clone()).or_default();
        sum.calls += i64::from(before.is_some() || after.is_some());
        sum.before += before.unwrap_or(0);
        sum.after += after.or(before).unwrap_or(0);
        sum.priced_calls += i64::from(has_tokens && before.is_none() && after.is_some());
        sum.unpriced_calls += i64::from(has_tokens && before.is_none() && after.is_none());
        Ok(())
    }

    /// Each row of a result, as JSON; the result is never held whole.
    async fn each_line(
        &self,
        query: &str,
        mut take: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let options = Options {
            access: Access::everything(),
            timeout: DAY_TIMEOUT,
            rows_max: u64::MAX,
            bytes_max: DAY_BYTES_MAX,
            ..Options::default()
        };
        let export = self.engine.export(query, &options, FileFormat::Ndjson).await;
        let mut pieces = export.map_err(|error| error.message().to_owned())?.pieces;
        let mut rest = Vec::new();
        while let Some(piece) = pieces.next().await {
            rest.extend_from_slice(&piece.map_err(|error| error.message().to_owned())?);
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            let whole = std::str::from_utf8(&rest[..end]).map_err(|error| error.to_string())?;
            whole.lines().filter(|line| !line.is_empty()).try_for_each(&mut take)?;
            rest.drain(..=end);
        }
        Ok(())
    }
}

impl Call {
    fn meter<'a>(&'a self, prices: &Prices) -> Meter<'a> {
        let group = &self.group;
        let model =
            if group.model_name.is_empty() { &group.deployment_name } else { &group.model_name };
        Meter {
            model,
            scope: prices.scope_of(&self.backend_id, &group.deployment_name),
            tier: match self.tier.as_str() {
                "priority" => ServiceTier::Priority,
                "batch" => ServiceTier::Batch,
                _ => ServiceTier::Standard,
            },
            prompt_tokens: self.prompt_tokens.unwrap_or(0),
            cached_tokens: self.cached_tokens.unwrap_or(0),
            audio_prompt_tokens: self.audio_prompt_tokens.unwrap_or(0),
            completion_tokens: self.completion_tokens.unwrap_or(0),
            audio_completion_tokens: self.audio_completion_tokens.unwrap_or(0),
            audio_seconds: self.audio_seconds.unwrap_or(0.0),
            characters: self.characters.filter(|_| self.is_request_success).unwrap_or(0),
            images: self.images.unwrap_or(0),
            image_size: &self.image_size,
            image_quality: &self.image_quality,
        }
    }
}

impl Serialize for Difference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Difference", 5)?;
        out.serialize_field("calls", &self.calls)?;
        out.serialize_field("unpriced_calls", &self.unpriced_calls)?;
        out.serialize_field("before_usd", &dollars(self.before.0))?;
        out.serialize_field("after_usd", &dollars(self.after.0))?;
        out.serialize_field("difference_usd", &dollars(self.after.0 - self.before.0))?;
        out.end()
    }
}

/// Of each call what decides its price. Text that was spoken is counted here, and not shown. Of an erased call
/// that is gone: it keeps what it cost.
fn calls_of(day: chrono::NaiveDate) -> String {
    let within = format!(
        "TimeGenerated >= datetime({day}) and TimeGenerated < datetime({})",
        day + chrono::Days::new(1)
    );
    format!(
        "let Spoken = Messages | where {within} and ContentType == 'speech_input'\n\
         | summarize Characters = sum(strlen(Content)) by CorrelationId;\n\
         Interactions\n\
         | where {within} and (isnotnull(CostUsd) or IsRequestSuccess or TotalTokens > 0) and not(IsContentErased)\n\
         | join kind=leftouter Spoken on CorrelationId\n\
         | project ApimSubscriptionId, ProductId, UserId, CallerGroups = tostring(CallerGroups), ModelName, DeploymentName, \
         BackendId, Tier = tostring(RequestParameters.served_tier), PromptTokens, CachedTokens, AudioPromptTokens, \
         CompletionTokens, AudioCompletionTokens, TotalTokens, AudioSeconds, Images, \
         ImageSize = tostring(RequestParameters.size), ImageQuality = tostring(RequestParameters.quality), \
         Characters, IsRequestSuccess, Cost = tostring(CostUsd)"
    )
}

fn earlier_of(day: chrono::NaiveDate) -> String {
    format!(
        "CostAdjustments\n\
         | where TimeGenerated == datetime({day})\n\
         | extend CallerGroups = tostring(CallerGroups)\n\
         | summarize Cost = tostring(sum(CostUsd)), Priced = sum(PricedCalls) \
         by ApimSubscriptionId, ProductId, UserId, CallerGroups, ModelName, DeploymentName"
    )
}

/// Decimal text to 10⁻¹² dollars, exactly.
fn picos(text: &str) -> Result<i128, String> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (kept, rest) = fraction.split_at_checked(PICO_DIGITS).unwrap_or((fraction, ""));
    let padded = format!("{whole}{kept:0<PICO_DIGITS$}");
    let is_exact = !whole.is_empty() && rest.bytes().all(|byte| byte == b'0');
    let parsed = padded.parse::<i128>().ok().filter(|_| is_exact);
    parsed.map(|picos| sign * picos).ok_or_else(|| format!("`{text}` is no amount of money"))
}

/// 10⁻¹² dollars as decimal text.
pub fn dollars(picos: i128) -> String {
    let (sign, size) =
        if picos < 0 { ("-", picos.unsigned_abs()) } else { ("", picos.unsigned_abs()) };
    let unit = 10_u128.pow(PICO_DIGITS as u32);
    let text = format!("{sign}{}.{:012}", size / unit, size % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_goes_through_text_exactly() {
        for (text, amount) in [
            ("0", 0),
            ("0.000000000001", 1),
            ("-0.5", -500_000_000_000),
            ("12.345", 12_345_000_000_000),
        ] {
            assert_eq!(picos(text), Ok(amount), "{text}");
            assert_eq!(dollars(amount), text);
        }
        assert_eq!(picos("1.00000000000000"), Ok(1_000_000_000_000));
        for wrong in ["", "x", "1.0000000000001", "1e5"] {
            assert!(picos(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_call_without_a_price_keeps_what_it_cost_and_one_that_gets_a_price_is_counted() {
        let rerating = |prices: &str| Prices::from_csv(prices).expect("a list");
        let prices = rerating("model,input_per_1m,output_per_1m,as_of\ngpt-4o,5,20,2026-11-20\n");
        let call = |model: &str, cost: &str| Call {
            group: Group { model_name: model.into(), ..Group::default() },
            prompt_tokens: Some(1_000_000),
            total_tokens: Some(1_000_000),
            cost: cost.into(),
            ..Call::default()
        };
        let mut sums = BTreeMap::new();
        let rerating = Rerating {
            engine: Arc::new(crate::reports::tests::Echo),
            prices: Arc::new(prices),
            at: Timestamp::from_unix_micros(0),
        };
        for (model, cost) in
            [("gpt-4o", "2.5"), ("gpt-4o", ""), ("home-made", "1"), ("home-made", "")]
        {
            rerating.add(&mut sums, &call(model, cost)).expect("added");
        }
        let of = |model: &str| sums[&call(model, "").group];
        let sum = of("gpt-4o");
        assert_eq!((sum.before, sum.after), (2_500_000_000_000, 10_000_000_000_000));
        assert_eq!((sum.calls, sum.priced_calls, sum.unpriced_calls), (2, 1, 0));
        let sum = of("home-made");
        assert_eq!((sum.before, sum.after), (1_000_000_000_000, 1_000_000_000_000));
        assert_eq!((sum.calls, sum.priced_calls, sum.unpriced_calls), (1, 0, 1));
    }
}
