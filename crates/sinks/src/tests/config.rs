//! Configurations that contradict themselves are refused with the fix.

use std::slice::from_ref;

use super::*;
use crate::config::{SinkConfig, SinkKind, WindowConfig};
use crate::validate::validate_sinks;

#[test]
fn what_cannot_be_is_refused_with_its_place_and_the_fix() {
    let sink = SinkConfig {
        id: "s".into(),
        url: "postgres://gatehouse@db/audit".into(),
        ..SinkConfig::default()
    };
    let window = |every_s| Some(WindowConfig { every_s, late_s: 0 });
    assert_eq!(validate_sinks(from_ref(&sink), &[job("a", "| where Kind == 'chat'")]), Ok(()));
    let counting = StreamJobConfig { window: window(60), ..job("a", "| count") };
    assert_eq!(validate_sinks(from_ref(&sink), &[counting]), Ok(()));
    for (job, named) in [
        (StreamJobConfig { id: "a b".into(), ..job("", "") }, "letters, digits"),
        (
            StreamJobConfig { table: "Messages".into(), ..job("a", "") },
            "Interactions, BackendHealth",
        ),
        (StreamJobConfig { sink: "other".into(), ..job("a", "") }, "name one of `sinks`"),
        (StreamJobConfig { into: "a b".into(), ..job("a", "") }, "`schema.table`"),
        (StreamJobConfig { rows_max: 0, ..job("a", "") }, "rows_max"),
        (StreamJobConfig { bytes_max: 1, ..job("a", "") }, "bytes_max"),
        (StreamJobConfig { window: window(0), ..job("a", "") }, "every_s"),
        (job("a", "| count"), "`count` cannot follow a table"),
        (job("a", "| summarize count()"), "give the job a `window`"),
        (job("a", "| wher A"), "wher"),
    ] {
        let error = validate_sinks(from_ref(&sink), &[job]).unwrap_err();
        assert!(error.starts_with("stream_jobs: `") && error.contains(named), "{error}");
    }
    for (kind, named) in [
        (SinkKind::Clickhouse, "database"),
        (SinkKind::AzureBlob, "`auth`, or `password`"),
        (SinkKind::EventHubs, "`auth`, or `password`"),
    ] {
        let url = "https://host".into();
        let other = SinkConfig { kind, url, ..sink.clone() };
        let error = validate_sinks(&[other], &[]).unwrap_err();
        assert!(error.starts_with("sinks: `s`: ") && error.contains(named), "{error}");
    }
    let path = SinkConfig { kind: SinkKind::AzureBlob, url: "https://h/a".into(), ..sink.clone() };
    assert!(validate_sinks(&[path], &[]).unwrap_err().contains("url"));
    let twice = validate_sinks(from_ref(&sink), &[job("a", ""), job("a", "")]).unwrap_err();
    assert!(twice.contains("twice"), "{twice}");
    let no_url = SinkConfig { url: String::new(), ..sink };
    assert!(validate_sinks(&[no_url], &[]).unwrap_err().contains("postgres://"));
}
