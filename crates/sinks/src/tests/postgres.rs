//! Into a real PostgreSQL.

use kql::{Column, Decimal, Type};
use net::{EgressConfig, EgressRules};
use testing::PostgresServer;

use super::*;
use crate::batch::Remedy;
use crate::config::{Beginning, SinkConfig};
use crate::postgres::Postgres;
use crate::sink::Surroundings;

fn sink(server: &PostgresServer, into: &str) -> Postgres {
    let config = SinkConfig { id: "s".into(), url: server.url(), ..SinkConfig::default() };
    let around = Surroundings {
        egress: EgressRules::new(&EgressConfig::loopback()),
        vault: Vault::new(&VaultConfig::default(), |_| {}).unwrap(),
    };
    Postgres::new(&config, into, &around).unwrap()
}

fn batch(columns: &[(&str, Type)], rows: Vec<Vec<Value>>) -> Batch {
    let columns: Vec<_> = columns.iter().map(|(name, of)| Column::new(*name, *of)).collect();
    let columns = Batch::keyed(&columns).unwrap();
    let keyed = rows.into_iter().enumerate().map(|(number, row)| {
        std::iter::once(Value::String(format!("k{number}"))).chain(row).collect()
    });
    Batch { name: "b".into(), at: Some(at(0)), columns, rows: keyed.collect() }
}

#[tokio::test]
async fn every_type_is_a_column_of_its_own_and_a_batch_that_comes_twice_is_there_once() {
    let Some(server) = PostgresServer::start() else { return };
    let mut sink = sink(&server, "Everything");
    let columns = [
        ("Yes", Type::Bool),
        ("Int", Type::Int),
        ("Long", Type::Long),
        ("Real", Type::Real),
        ("Money", Type::Decimal),
        ("At", Type::Datetime),
        ("For", Type::Timespan),
        ("Guid", Type::Guid),
        ("Text \"quoted\"", Type::String),
        ("Json", Type::Dynamic),
    ];
    let full = vec![
        Value::Bool(true),
        Value::Int(-7),
        Value::Long(i64::MAX),
        Value::Real(1.5e300),
        Value::Decimal("12.000000000001".parse::<Decimal>().unwrap()),
        Value::Datetime(kql::parse_datetime("2026-11-23T12:00:00.1234567Z").unwrap()),
        Value::Timespan(kql::parse_timespan("1.02:03:04.5").unwrap()),
        Value::Guid(kql::parse_guid("82b8be2d-dfa7-4bd1-8f63-24ad26d31449").unwrap()),
        Value::String("a\0b, \"c\" {d} \\ \u{1f980}".into()),
        Value::Dynamic("{\"a\":[1,\"\\u0000\"]}".into()),
    ];
    let mut empty = vec![Value::Null; 10];
    empty[8] = Value::String(String::new());
    let batch = batch(&columns, vec![full, empty]);
    for _ in 0..2 {
        sink.write(&batch).await.unwrap();
    }
    let shown = server.run("SELECT t::text FROM \"Everything\" t ORDER BY \"_Key\"").unwrap();
    assert_eq!(
        shown,
        [
            "(k0,t,-7,9223372036854775807,1.5e+300,12.000000000001,\"2026-11-23 12:00:00.123457+00\",\
         \"1 day 02:03:04.5\",82b8be2d-dfa7-4bd1-8f63-24ad26d31449,\
         \"a\u{fffd}b, \"\"c\"\" {d} \\\\ \u{1f980}\",\"{\"\"a\"\": [1, \"\"\u{fffd}\"\"]}\")",
            "(k1,,,,,,,,,\"\",)",
        ]
    );
}

#[tokio::test]
async fn columns_that_are_new_are_added_and_types_that_changed_are_refused_by_name() {
    let Some(server) = PostgresServer::start() else { return };
    server.run("CREATE SCHEMA audit; CREATE TABLE audit.wrong (\"A\" text)").unwrap();
    let mut first = sink(&server, "audit.calls");
    first.write(&batch(&[("A", Type::Long)], vec![vec![Value::Long(1)]])).await.unwrap();
    let wider = batch(
        &[("A", Type::Long), ("B", Type::String)],
        vec![vec![Value::Long(1), Value::String("x".into())]; 2],
    );
    first.write(&wider).await.unwrap();
    let shown = server.run("SELECT t::text FROM audit.calls t ORDER BY 1").unwrap();
    assert_eq!(shown, ["(k0,1,)", "(k1,1,x)"], "what was there stays");
    let changed = batch(&[("A", Type::String)], vec![vec![Value::String("1".into())]]);
    let failure = first.write(&changed).await.unwrap_err();
    assert!(failure.remedy == Remedy::Change && failure.why.contains("`A`"), "{failure:?}");
    // A table without the key would double rows.
    let mut wrong = sink(&server, "audit.wrong");
    let failure = wrong.write(&changed).await.unwrap_err();
    assert!(failure.remedy == Remedy::Change && failure.why.contains("ON CONFLICT"), "{failure:?}");
    let failure = sink(&server, "nowhere.calls").write(&changed).await.unwrap_err();
    assert!(failure.remedy == Remedy::Change && failure.why.contains("nowhere"), "{failure:?}");
}

#[tokio::test]
async fn a_server_that_was_down_gets_everything_once_when_it_is_back() {
    let Some(mut server) = PostgresServer::start() else { return };
    let fixture = Fixture::new().await;
    let config = StreamJobConfig { from: Beginning::Beginning, rows_max: 10, ..job("pg", "") };
    let mut job = fixture.job(&config, sink(&server, "calls"));
    fixture.add(1..=25);
    assert_eq!(step(&mut job).await, Ok(Step::Moved));
    server.kill();
    for _ in 0..3 {
        assert_eq!(step(&mut job).await.unwrap_err().remedy, Remedy::Again);
    }
    server.restart();
    fixture.add(26..=30);
    // The first attempt may meet the connection that broke.
    while step(&mut job).await != Ok(Step::Idle) {}
    let keys = server
        .run("SELECT \"LedgerSequence\"::text FROM calls ORDER BY calls.\"LedgerSequence\"")
        .unwrap();
    assert_eq!(keys, (1..=30).map(|number| number.to_string()).collect::<Vec<_>>());
}
