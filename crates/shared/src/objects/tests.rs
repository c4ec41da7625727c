//! The registry beside a simple model of it, over restarts.

mod nodes;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use event::{InteractionId, Object, Record, Timestamp};
use ledger::{Ledger, LedgerConfig};
use proptest::prelude::*;

use super::*;
use crate::Follower;

const SOON: Duration = Duration::from_secs(20);

struct World {
    ledger: Ledger,
    objects: Objects,
    follower: Follower,
}

fn open(dir: &Path) -> World {
    let noon = || Timestamp::from_unix_micros(1_750_000_000_000_000);
    let config = LedgerConfig { spare_segments: 0, segment_bytes: 64 << 10, ..Default::default() };
    let (ledger, _) = Ledger::open(&dir.join("ledger"), config, noon).unwrap();
    let snapshot = Arc::new(Snapshot::open(dir.join("shared.redb")).unwrap());
    let objects = Objects::new(snapshot.clone(), 8);
    let follower = Follower::start(&ledger, snapshot, vec![objects.projection()]).unwrap();
    World { ledger, objects, follower }
}

fn record(at: i64, owner: &str, made: &[&str], gone: &[&str]) -> event::Objects {
    let list = |ids: &[&str]| {
        let object =
            |id: &&str| Object { kind: "file".into(), id: (*id).to_owned(), parent: String::new() };
        ids.iter().map(object).collect()
    };
    event::Objects {
        noted_at: Timestamp::from_unix_micros(at),
        backend_id: format!("home-of-{owner}"),
        owner: owner.into(),
        made: list(made),
        gone: list(gone),
    }
}

impl World {
    /// As the gateway does it: kept first, then remembered.
    async fn note(&self, record: event::Objects) {
        let frame = Record::Objects(Box::new(record.clone()))
            .encode(InteractionId::mint(record.noted_at, [3; 10]));
        let sequence = self.ledger.append([frame]).await.unwrap().durable().await.unwrap();
        self.objects.remember(&record, sequence).await;
    }

    async fn owner(&self, id: &str) -> Option<String> {
        self.objects.find(id).await.unwrap().map(|known| known.owner.clone())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Make(u8, u8),
    Forget(u8),
    Settle,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..24u8, 0..3u8).prop_map(|(id, owner)| Step::Make(id, owner)),
        2 => (0..24u8).prop_map(Step::Forget),
        1 => Just(Step::Settle),
        1 => Just(Step::Restart),
    ]
}

async fn check(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut world = open(dir.path());
    let mut model: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for (place, step) in steps.into_iter().enumerate() {
        let at = place as i64 + 1;
        match step {
            Step::Make(id, owner) => {
                let (id, owner) = (format!("file-{id}"), format!("owner-{owner}"));
                // The gateway notes only what is not known.
                if world.objects.find(&id).await.unwrap().is_none() {
                    world.note(record(at, &owner, &[&id], &[])).await;
                }
                model.entry(id).or_insert((owner, at));
            }
            Step::Forget(id) => {
                let id = format!("file-{id}");
                if let Some((owner, _)) = model.remove(&id) {
                    world.note(record(at, &owner, &[], &[&id])).await;
                }
            }
            Step::Settle => assert!(world.follower.settle(SOON)),
            Step::Restart => {
                // As a kill leaves it: nothing is told to the follower.
                let World { ledger, objects, follower } = world;
                drop((objects, follower));
                ledger.close().await.unwrap();
                drop(ledger);
                world = open(dir.path());
            }
        }
        for id in 0..24 {
            let id = format!("file-{id}");
            let want = model.get(&id).map(|(owner, _)| owner.clone());
            assert_eq!(world.owner(&id).await, want, "{id}");
        }
        for owner in ["owner-0", "owner-1", "owner-2"] {
            let mut want: Vec<_> =
                model.iter().filter(|(_, of)| of.0 == owner).map(|(id, of)| (of.1, id)).collect();
            want.sort();
            let owned = world.objects.owned(owner, "file").await.unwrap();
            let owned: Vec<_> = owned.iter().map(|o| (o.made_at.unix_micros(), &o.id)).collect();
            assert_eq!(owned, want);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn it_knows_what_a_simple_map_knows(steps in prop::collection::vec(step(), 1..30)) {
        tokio::runtime::Runtime::new().unwrap().block_on(check(steps));
    }
}

#[test]
fn an_id_that_was_given_up_is_its_next_owners_alone() {
    let steps = [Step::Make(1, 0), Step::Settle, Step::Forget(1), Step::Make(1, 1), Step::Settle];
    let again = [Step::Forget(1), Step::Make(1, 1), Step::Restart];
    let steps = steps.into_iter().chain(again).collect();
    tokio::runtime::Runtime::new().unwrap().block_on(check(steps));
}

#[tokio::test]
async fn the_first_owner_of_an_id_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    world.note(record(1, "ann", &["file-1"], &[])).await;
    world.note(record(2, "eve", &["file-1"], &[])).await;
    assert_eq!(world.owner("file-1").await.as_deref(), Some("ann"));
    assert!(world.follower.settle(SOON));
    world.note(record(3, "eve", &["file-1"], &[])).await;
    assert!(world.follower.settle(SOON));
    assert_eq!(world.owner("file-1").await.as_deref(), Some("ann"));
    assert_eq!(world.objects.owned("eve", "file").await.unwrap(), []);
}

#[tokio::test]
async fn memory_is_bounded_however_many_objects_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    for round in 0..20 {
        let ids: Vec<String> = (0..50).map(|n| format!("file-{round}-{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        world.note(record(round, "ann", &ids, &[])).await;
    }
    assert!(world.follower.settle(SOON));
    for round in 0..20 {
        for n in 0..50 {
            let owner = world.owner(&format!("file-{round}-{n}")).await;
            assert_eq!(owner.as_deref(), Some("ann"));
        }
    }
    let index = world.objects.inner.index();
    assert_eq!(index.pending.len(), 0);
    assert!(index.cache.len() <= 8);
}

#[tokio::test]
async fn fine_tuned_models_are_known_by_name_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path());
    let mut made = record(1, "ann", &["ft:gpt-4o:org::1", "ft:gpt-4o:org::2"], &[]);
    made.made.iter_mut().for_each(|object| object.kind = table::MODEL_KIND.into());
    world.note(made).await;
    world.note(record(2, "ann", &["file-1"], &[])).await;
    world.note(record(3, "ann", &[], &["ft:gpt-4o:org::2"])).await;
    let World { ledger, objects, follower } = world;
    for _ in 0..2 {
        let model = objects.model("ft:gpt-4o:org::1").expect("known at once");
        assert_eq!((model.owner.as_str(), model.backend_id.as_str()), ("ann", "home-of-ann"));
        assert_eq!(objects.model("ft:gpt-4o:org::2"), None);
        assert_eq!(objects.model("file-1"), None);
    }
    drop((objects, follower));
    ledger.close().await.unwrap();
    drop(ledger);
    let world = open(dir.path());
    assert!(world.objects.model("ft:gpt-4o:org::1").is_some());
    assert_eq!(world.objects.model("ft:gpt-4o:org::2"), None);
}
