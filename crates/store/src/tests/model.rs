//! Any order of operations, against a model of what must be there.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    Seal,
    Maintain,
    Query,
    Crash,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u8..20).prop_map(Step::Write),
        3 => Just(Step::Seal),
        1 => Just(Step::Maintain),
        2 => Just(Step::Query),
        1 => Just(Step::Crash),
        1 => Just(Step::Close),
    ]
}

fn check(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let (mut written, mut durable) = (0, 0);
    for step in steps {
        match step {
            Step::Write(rows) => {
                write(&store, batch(written, written + i64::from(rows)));
                written += i64::from(rows);
            }
            Step::Seal => {
                store.seal().unwrap();
                durable = written;
            }
            // The day is over, so everything is merged.
            Step::Maintain => drop(store.maintain(at(NOON + DAY)).unwrap()),
            Step::Query => {
                assert_eq!(numbers(interactions(&store), None), (0..written).collect::<Vec<_>>());
            }
            Step::Crash => {
                drop(store);
                store = open(folder.path());
                written = durable;
            }
            Step::Close => {
                store.close().unwrap();
                durable = written;
                drop(store);
                store = open(folder.path());
            }
        }
        assert_eq!(store.durable_cursor(), cursor(durable));
    }
    let snapshot = store.snapshot();
    let rows = numbers(snapshot.provider("Interactions").unwrap(), None);
    assert_eq!(rows, (0..written).collect::<Vec<_>>());
    let messages = texts(snapshot.provider("Messages").unwrap(), "CorrelationId");
    assert_eq!(messages.len(), rows.len());
    assert!(store.verify().unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_operations_loses_or_repeats_a_row(
        steps in proptest::collection::vec(step(), 1..24)
    ) {
        check(steps);
    }
}
