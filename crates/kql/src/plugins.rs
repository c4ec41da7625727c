//! The plugins of `evaluate` by name: what each does, and whether it runs here.

use crate::Operator;
use crate::Support::{Full, Refused};
use crate::operators::operator;

const UNPUBLISHED: &str = "Kusto does not publish how it chooses; use `summarize` by the columns";
const WINDOWS: &str = "Kusto does not publish where its outer windows end; use `sliding_window_counts` for each window";
const OUTSIDE: &str = "no query reaches outside of the store";
const CODE: &str = "no query runs code";

/// Every plugin that is known by name.
pub const PLUGINS: &[Operator] = &[
    operator("active_users_count", "values seen in several periods", Full),
    operator("activity_counts_metrics", "counts of values by period", Full),
    operator("activity_engagement", "ratio of values in two windows", Refused(WINDOWS)),
    operator("activity_metrics", "new, kept and lost values by period", Full),
    operator("ai_chat_completion", "asks a model", Refused(OUTSIDE)),
    operator("ai_embed_text", "a vector of a text", Refused(OUTSIDE)),
    operator("autocluster", "frequent patterns", Refused(UNPUBLISHED)),
    operator("azure_digital_twins_query_request", "asks another service", Refused(OUTSIDE)),
    operator("bag_unpack", "a column for each member of a bag", Full),
    operator("basket", "all frequent patterns", Refused(UNPUBLISHED)),
    operator("cosmosdb_sql_request", "asks another database", Refused(OUTSIDE)),
    operator("dcount_intersect", "how many values sketches have in common", Full),
    operator("diffpatterns", "what tells two halves of the rows apart", Refused(UNPUBLISHED)),
    operator("diffpatterns_text", "the same of words", Refused(UNPUBLISHED)),
    operator("funnel_sequence", "what comes before and after a value", Refused("use `scan`")),
    operator("funnel_sequence_completion", "how far sequences come", Refused("use `scan`")),
    operator("geo_line_lookup", "rows with the rows whose line is near", Full),
    operator("geo_polygon_lookup", "rows with the rows whose polygon holds a place", Full),
    operator("http_request", "asks an address", Refused(OUTSIDE)),
    operator("http_request_post", "asks an address", Refused(OUTSIDE)),
    operator("infer_storage_schema", "the columns of files", Refused(OUTSIDE)),
    operator("ipv4_lookup", "rows with the row of a range that holds an address", Full),
    operator("ipv6_lookup", "the same of IPv6", Full),
    operator("mysql_request", "asks another database", Refused(OUTSIDE)),
    operator("narrow", "a row for each cell", Full),
    operator("new_activity_metrics", "new values and whether they stay", Full),
    operator("pivot", "a column for each value of a column", Full),
    operator("postgresql_request", "asks another database", Refused(OUTSIDE)),
    operator("preview", "some rows and their count", Refused("use `take` and `count`")),
    operator("python", "runs a script", Refused(CODE)),
    operator("r", "runs a script", Refused(CODE)),
    operator("rolling_percentile", "percentiles of the bins before", Full),
    operator("rows_near", "rows around those that match", Full),
    operator("schema_merge", "one row type of several", Refused("use `union`")),
    operator("sequence_detect", "sequences of events", Refused("use `scan`")),
    operator(
        "session_count",
        "sessions by period",
        Refused("use `row_window_session()` and `summarize`"),
    ),
    operator("sliding_window_counts", "counts within a moving window", Full),
    operator("sql_request", "asks another database", Refused(OUTSIDE)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_listed_once_by_name() {
        assert!(PLUGINS.is_sorted_by(|one, other| one.name < other.name));
    }
}
