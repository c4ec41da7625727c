//! Limits of a run, and what callers are told.

use std::time::Duration;

use kql::{Engine as _, Options, QueryErrorKind};
use query::QueryConfig;

use crate::{Fixture, block_on, options};

#[test]
fn rows_and_bytes_beyond_the_limit_are_cut_and_said() {
    let fixture = Fixture::new();
    let few = Options { rows_max: 10, ..options() };
    let frame = fixture.run_with("range x from 1 to 100 step 1", &few).expect("runs");
    assert_eq!(frame.rows.len(), 10);
    assert!(frame.truncated.expect("cut").contains("record count limit 10"));
    let small = Options { bytes_max: 100, ..options() };
    let frame = fixture.run_with("range x from 1 to 100 step 1", &small).expect("runs");
    assert_eq!(frame.rows.len(), 12);
    assert!(frame.truncated.expect("cut").contains("data size limit 100"));
}

#[test]
fn a_query_ends_at_its_deadline() {
    let fixture = Fixture::new();
    let hasty = Options { timeout: Duration::from_millis(50), ..options() };
    let endless = "range x from 1 to 1000000000000 step 1 | summarize sum(x)";
    let error = fixture.run_with(endless, &hasty).expect_err("takes too long");
    assert_eq!(error.kind(), QueryErrorKind::Timeout);
}

#[test]
fn a_search_in_a_graph_ends_at_its_deadline() {
    let fixture = Fixture::with(QueryConfig { concurrency_max: 1, ..QueryConfig::default() });
    let hasty = Options { timeout: Duration::from_millis(200), ..options() };
    let endless = "let N = range a from 1 to 60 step 1 | extend k = 1;
        N | join kind=inner (N | project b = a, k) on k | make-graph a --> b with_node_id=n
        | graph-match cycles=none (x)-[e*30..30]->(y) where y.n < 0 project x.n";
    let error = fixture.run_with(endless, &hasty).expect_err("takes too long");
    assert_eq!(error.kind(), QueryErrorKind::Timeout, "{error}");
    assert_eq!(fixture.run("print 1").expect("has its turn").rows.len(), 1);
}

#[test]
fn a_caller_that_goes_away_frees_its_turn() {
    let fixture = Fixture::with(QueryConfig { concurrency_max: 1, ..QueryConfig::default() });
    let endless = "range x from 1 to 1000000000000 step 1 | summarize sum(x)";
    block_on(async {
        let options = options();
        let run = fixture.engine.run(endless, &options);
        assert!(tokio::time::timeout(Duration::from_millis(50), run).await.is_err());
        let frame = fixture.engine.run("print 1", &options).await.expect("has its turn");
        assert_eq!(frame.rows.len(), 1);
    });
}

#[test]
fn memory_beyond_the_limit_is_refused() {
    let config = QueryConfig { memory_bytes_max: 4 << 20, ..QueryConfig::default() };
    let fixture = Fixture::with(config);
    let greedy = "range x from 1 to 5000000 step 1 | summarize make_list(x), count() by x";
    let error = fixture.run(greedy).expect_err("needs more");
    assert_eq!(error.kind(), QueryErrorKind::LimitExceeded);
}

#[test]
fn what_is_missing_is_named() {
    let fixture = Fixture::new();
    let error = fixture.run("print hash_many('x')").expect_err("no kernel");
    assert_eq!(error.kind(), QueryErrorKind::Unsupported);
    assert!(error.message().contains("hash_many"), "{error}");
    let error = fixture.run("print 'a' matches regex '('").expect_err("no pattern");
    assert_eq!(error.kind(), QueryErrorKind::Evaluation);
    let error = fixture.run("Nowhere | count").expect_err("no table");
    assert_eq!(error.kind(), QueryErrorKind::Semantic);
}
