//! The life of the state: on SQLite always, on PostgreSQL where the machine has one.

mod alert_rules;
mod approvals;
mod directory;
mod postgres;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use event::{Note, Record, Timestamp};
use kql::{Column, Schema, Type};
use ledger::{Ledger, LedgerConfig};
use policy::{
    BudgetConfig, DashboardConfig, KeyHasher, Principal, ProductConfig, SubscriptionState,
};
use tempfile::TempDir;

use crate::{
    Action, Author, Control, Decree, Error, ErrorKind, KeySlot, NewSubscription, Place, Publisher,
    Settings, Step, compare,
};

/// Keeps what is published, and lacks the sinks of this name.
#[derive(Default)]
struct Published(Mutex<Vec<Decree>>, Mutex<&'static str>);

#[async_trait]
impl Publisher for Published {
    async fn publish(&self, decree: Decree) -> Result<(), String> {
        self.0.lock().expect("no panic").push(decree);
        Ok(())
    }

    async fn check(&self, before: &Decree, after: &Decree) -> Result<(), String> {
        let mut sinks = after.new_alert_rules(before).flat_map(|rule| &rule.sinks);
        let lacked = *self.1.lock().expect("no panic");
        if sinks.any(|sink| sink == lacked) { Err(format!("no sink `{lacked}`")) } else { Ok(()) }
    }
}

/// A catalogue of one table.
pub(crate) struct Calls;

impl kql::Catalogue for Calls {
    fn table(&self, name: &str) -> Option<Arc<Schema>> {
        let columns = [
            ("At", Type::Datetime),
            ("Region", Type::String),
            ("Tokens", Type::Long),
            ("More", Type::Dynamic),
        ];
        let columns = columns.map(|(name, column_type)| Column::new(name, column_type));
        (name == "Calls").then(|| Arc::new(Schema::new(columns.to_vec())))
    }

    fn table_names(&self) -> Vec<String> {
        vec!["Calls".into()]
    }
}

/// One gateway's control plane.
struct Node {
    control: Control,
    ledger: Ledger,
    published: Arc<Published>,
    folder: TempDir,
}

impl Node {
    async fn start(place: Option<Place>) -> Self {
        Self::start_in(TempDir::new().expect("a folder"), place).await.expect("opens")
    }

    async fn start_in(folder: TempDir, place: Option<Place>) -> Result<Self, Error> {
        let place = place.unwrap_or_else(|| Place::Sqlite(folder.path().join("control.sqlite")));
        Self::start_of(folder, Some(place)).await
    }

    /// Without a place the state is in the configuration file.
    async fn start_of(folder: TempDir, place: Option<Place>) -> Result<Self, Error> {
        let config = LedgerConfig { segment_bytes: 1 << 20, ..LedgerConfig::default() };
        let now = || Timestamp::from_unix_micros(1);
        let (ledger, _) =
            Ledger::open(&folder.path().join("ledger"), config, now).expect("a ledger");
        let settings = Settings {
            place,
            approvals_file: folder.path().join("approvals.sqlite"),
            cache_file: folder.path().join("control.json"),
            versions_max: 5,
            poll: Duration::from_millis(20),
        };
        let control = Control::open(settings, seed(), hasher(), ledger.clone()).await?;
        let published = Arc::new(Published::default());
        control.publish_to(published.clone());
        Ok(Self { control, ledger, published, folder })
    }

    async fn change(&self, edit: impl FnOnce(&mut Decree) -> Result<(), Error> + Send) -> i64 {
        let applied = self.control.change(&author(), &action(), edit).await.expect("changes");
        applied.version.number
    }

    /// Operation and outcome of every admin action on record, and all of their text.
    fn recorded(&self) -> (Vec<(String, String)>, String) {
        let (mut lines, mut all) = (Vec::new(), String::new());
        let mut reader = self.ledger.reader(1).expect("reads");
        while let Some(entry) = reader.next(Duration::ZERO).expect("reads") {
            if let Ok(Record::Note(note)) = Record::decode(entry.frame.kind, &entry.frame.payload)
                && let Note::AdminAction(row) = *note
            {
                all.push_str(&format!("{row:?}"));
                lines.push((row.operation_name, row.outcome));
            }
        }
        (lines, all)
    }
}

fn hasher() -> KeyHasher {
    KeyHasher::new(b"secret")
}

fn seed() -> Decree {
    let product = ProductConfig { id: "chat".into(), ..ProductConfig::default() };
    Decree { products: vec![product], ..Decree::default() }
}

fn author() -> Author {
    let principal = Principal { id: "ann".into(), ..Principal::default() };
    Author { principal, via: "api", ..Author::default() }
}

fn action() -> Action {
    Action { operation: "tests/change", kind: "state", ..Action::default() }
}

fn team(id: &str) -> NewSubscription {
    NewSubscription { id: id.into(), product: "chat".into(), ..NewSubscription::default() }
}

fn subscribe(id: &'static str) -> impl FnOnce(&mut Decree) -> Result<(), Error> + Send {
    move |decree| decree.subscribe(&team(id), hashes(id))
}

fn hashes(id: &str) -> [String; 2] {
    ["1", "2"].map(|slot| hasher().hash(&format!("{id}-{slot}")).to_string())
}

#[tokio::test]
async fn a_change_is_validated_recorded_kept_and_published_and_survives_a_restart() {
    let node = Node::start(None).await;
    assert_eq!(node.control.live().number, 1, "the seed is the first version");
    assert_eq!(node.change(subscribe("team")).await, 2);
    let published = node.published.0.lock().expect("no panic").last().cloned();
    assert_eq!(published.as_ref(), Some(&node.control.live().decree));
    let (lines, all) = node.recorded();
    assert!(lines.contains(&("tests/change".into(), "succeeded".into())), "{lines:?}");
    assert!(!all.contains("hmac-sha256:"), "hashes are not in the record: {all}");

    // What contradicts itself changes nothing.
    let wrong = |decree: &mut Decree| {
        decree.subscription_mut("team")?.product = "nowhere".into();
        Ok(())
    };
    let error = node.control.change(&author(), &action(), wrong).await.expect_err("contradicts");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(node.control.live().number, 2);

    let decree = node.control.live().decree.clone();
    let Node { control, ledger, folder, .. } = node;
    ledger.close().await.expect("closes");
    drop(control);
    let again = Node::start_in(folder, None).await.expect("opens");
    assert_eq!(again.control.live().decree, decree);
}

#[tokio::test]
async fn versions_are_listed_compared_rolled_back_and_old_ones_go() {
    let node = Node::start(None).await;
    for id in ["a", "b", "c", "d", "e", "f"] {
        node.change(subscribe(id)).await;
    }
    let lines = node.control.versions(i64::MAX, 100).await.expect("lists");
    let numbers: Vec<i64> = lines.iter().map(|line| line.version).collect();
    assert_eq!(numbers, [7, 6, 5, 4, 3]);
    let old = node.control.version(3).await.expect("is kept");
    let changes = compare(&old, &node.control.live().decree);
    assert_eq!(changes.iter().filter(|change| change.change == "added").count(), 4);
    let back = old.clone();
    let rollback = |decree: &mut Decree| {
        *decree = back;
        Ok(())
    };
    node.change(rollback).await;
    assert_eq!(node.control.live().decree, old);
    assert_eq!(node.control.live().number, 8);
    let gone = node.control.version(1).await.expect_err("is gone");
    assert_eq!(gone.kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn operations_that_there_are_not_are_refused_however_they_come_but_those_kept_before_stay() {
    let names = |operation: &str| ProductConfig {
        id: "images".into(),
        operations: vec![operation.into()],
        ..ProductConfig::default()
    };
    let node = Node::start(None).await;
    let add = |decree: &mut Decree| {
        decree.products.push(names("ChatCompletion_Create"));
        Ok(())
    };
    let tried = node.control.dry_run(add).await.map(drop);
    let changed = node.control.change(&author(), &action(), add).await.map(drop);
    for refused in [tried, changed] {
        let error = refused.expect_err("there is no such operation");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("did you mean `ChatCompletions_Create`?"), "{error}");
    }
    let known = move |decree: &mut Decree| {
        decree.products.push(names("chatcompletions_create"));
        Ok(())
    };
    assert_eq!(node.change(known).await, 2, "case does not matter");

    // A state of another version, whose table had other operations, is served and changed.
    let mut kept = seed();
    kept.products.push(names("Retired_Operation"));
    let mut next = kept.clone();
    next.products[0].deployments.push("gpt-4o".into());
    next.validate_after(&kept, &hasher()).expect("what was there is left alone");
    next.products[1].deployments.push("gpt-4o".into());
    next.validate_after(&kept, &hasher()).expect_err("it is written anew");
}

#[tokio::test]
async fn an_edit_that_changes_nothing_makes_no_version() {
    let node = Node::start(None).await;
    assert_eq!(node.change(|_| Ok(())).await, 1);
}

#[tokio::test]
async fn a_change_that_the_ledger_cannot_record_does_not_happen() {
    let node = Node::start(None).await;
    node.ledger.close().await.expect("closes");
    let error = node.control.change(&author(), &action(), subscribe("team")).await;
    assert_eq!(error.expect_err("no record").kind(), ErrorKind::Unavailable);
    assert_eq!(node.control.live().number, 1);
    let lines = node.control.versions(i64::MAX, 10).await.expect("lists");
    assert_eq!(lines.len(), 1, "nothing was kept");
}

#[tokio::test]
async fn without_its_database_it_begins_with_what_was_published_last() {
    let node = Node::start(None).await;
    node.change(subscribe("team")).await;
    let decree = node.control.live().decree.clone();
    let Node { control, ledger, folder, .. } = node;
    ledger.close().await.expect("closes");
    drop(control);
    let gone = Place::postgres("postgres://nobody@127.0.0.1:1/none", None).expect("a URL");
    let node = Node::start_in(folder, Some(gone)).await.expect("begins");
    assert_eq!(node.control.live().decree, decree);
    assert!(!node.control.status().database_reason.is_empty());
    let error = node.control.change(&author(), &action(), subscribe("other")).await;
    assert_eq!(error.expect_err("no database").kind(), ErrorKind::Unavailable);
    assert_eq!(node.control.live().decree, decree);
}

#[tokio::test]
async fn without_database_and_without_a_published_state_it_does_not_begin() {
    let gone = Place::postgres("postgres://nobody@127.0.0.1:1/none", None).expect("a URL");
    let error = Node::start_in(TempDir::new().expect("a folder"), Some(gone)).await.err();
    let error = error.expect("there is no state").to_string();
    assert!(error.contains("control.source: file"), "{error}");
}

#[tokio::test]
async fn expiry_and_the_end_of_a_grace_come_by_themselves() {
    let node = Node::start(None).await;
    node.change(subscribe("team")).await;
    let rotate = |decree: &mut Decree| {
        let hash = hasher().hash("new").to_string();
        let grace = (crate::record::now(), Duration::from_millis(150));
        decree.rotate("team", KeySlot::Primary, hash, grace)
    };
    node.change(rotate).await;
    assert_eq!(node.control.effective().subscription("team").expect("there").retired_keys.len(), 1);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(node.control.clone().run(stop.clone()));
    tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let last = node.published.0.lock().expect("no panic").last().cloned();
            let decree = last.expect("something is published");
            if decree.subscription("team").expect("there").retired_keys.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the retired key goes");
    stop.cancel();
    running.await.expect("ends");
}

#[test]
fn a_subscription_takes_only_the_steps_of_its_life() {
    use SubscriptionState::{Active, Cancelled, Rejected, Submitted, Suspended};
    let allowed = [
        (Step::Approve, Submitted, Active),
        (Step::Reject, Submitted, Rejected),
        (Step::Suspend, Active, Suspended),
        (Step::Activate, Suspended, Active),
        (Step::Cancel, Submitted, Cancelled),
        (Step::Cancel, Active, Cancelled),
        (Step::Cancel, Suspended, Cancelled),
    ];
    for step in [Step::Approve, Step::Reject, Step::Suspend, Step::Activate, Step::Cancel] {
        for state in [Active, Suspended, Cancelled, Submitted, Rejected] {
            let mut decree = seed();
            decree.subscribe(&team("team"), hashes("team")).expect("subscribes");
            decree.subscription_mut("team").expect("there").state = state;
            let expected = allowed.iter().find(|(s, from, _)| (*s, *from) == (step, state));
            let taken = decree.step("team", step);
            assert_eq!(taken.is_ok(), expected.is_some(), "{step:?} from {state:?}");
            if let Some((_, _, to)) = expected {
                assert_eq!(decree.subscription("team").expect("there").state, *to);
            }
        }
    }
}

#[test]
fn a_rotated_key_works_for_its_grace_and_the_other_one_goes_on() {
    let mut decree = seed();
    decree.subscribe(&team("team"), hashes("team")).expect("subscribes");
    let at = |seconds: i64| Timestamp::from_unix_micros(seconds * 1_000_000);
    let hash = hasher().hash("new").to_string();
    let grace = Duration::from_secs(60);
    decree.rotate("team", KeySlot::Primary, hash, (at(100), grace)).expect("rotates");
    let works = |decree: &Decree, key: &str, now| {
        let decree = decree.at(now);
        let rules = policy::Rules::new(1, hasher(), &decree.products, &decree.subscriptions);
        let request = policy::Request { key: Some(key), ..policy::Request::default() };
        policy::admit(&rules.expect("valid"), &request).is_ok()
    };
    for key in ["new", "team-1", "team-2"] {
        assert!(works(&decree, key, at(159)), "{key} in the grace");
    }
    assert!(!works(&decree, "team-1", at(160)), "the grace is over");
    assert!(works(&decree, "new", at(160)) && works(&decree, "team-2", at(160)));
    assert_eq!(decree.next_change(at(100)), Some(at(160)));
    decree.subscription_mut("team").expect("there").expires_at = Some(at(200).into());
    assert!(works(&decree, "new", at(199)) && !works(&decree, "new", at(200)));
}

#[tokio::test]
async fn budgets_are_part_of_the_state_and_a_state_from_before_them_has_none() {
    let before: Decree =
        serde_json::from_str(r#"{"products":[],"subscriptions":[],"limits":[],"roles":[]}"#)
            .expect("a state from before");
    assert_eq!(before, Decree::default());
    let text = serde_json::to_string(&before).expect("serialises");
    assert!(!text.contains("budgets"), "a gateway from before reads it: {text}");

    let node = Node::start(None).await;
    let budget = |amount_usd| BudgetConfig { id: "team".into(), amount_usd, ..Default::default() };
    let set = |budgets: Vec<BudgetConfig>| {
        move |decree: &mut Decree| {
            decree.budgets = budgets;
            Ok(())
        }
    };
    node.change(set(vec![budget(5.0)])).await;
    let made = node.control.live();
    assert_eq!(made.decree.budget("team").expect("is there").amount_usd, 5.0);
    let twice = set(vec![budget(5.0), budget(6.0)]);
    let error = node.control.change(&author(), &action(), twice).await.expect_err("stands twice");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    node.change(set(vec![budget(7.0)])).await;
    let changes = compare(&made.decree, &node.control.live().decree);
    let told: Vec<_> = changes.iter().map(|it| (it.kind, it.id.as_str(), it.change)).collect();
    assert_eq!(told, [("budget", "team", "changed")]);
    let file = Decree { budgets: vec![budget(1.0)], ..seed() };
    assert_eq!(node.control.follow_file(file).expect("is read"), ["cost.budgets"]);
}

#[tokio::test]
async fn dashboards_are_part_of_the_state_and_their_queries_are_kql() {
    let text = serde_json::to_string(&Decree::default()).expect("serialises");
    assert!(!text.contains("dashboards"), "a gateway from before reads it: {text}");

    let node = Node::start(None).await;
    let dashboard = |id: &str, query: &str| {
        let tiles = serde_json::json!([{ "title": "Calls", "query": query }]);
        let dashboard = serde_json::json!({ "id": id, "name": id, "tiles": tiles });
        serde_json::from_value::<DashboardConfig>(dashboard).expect("a dashboard")
    };
    let set = |dashboards: Vec<DashboardConfig>| {
        move |decree: &mut Decree| {
            decree.dashboards = dashboards;
            Ok(())
        }
    };
    node.change(set(vec![dashboard("calls", "Interactions | count")])).await;
    let made = node.control.live();
    assert_eq!(made.decree.dashboard("calls").expect("is there").name, "calls");
    let missing = made.decree.dashboard("other").expect_err("is not there");
    assert_eq!(missing.kind(), ErrorKind::Missing);
    let good = dashboard("calls", "Interactions | count");
    for (wrong, why) in [
        (vec![good.clone(), good.clone()], "rename one"),
        (vec![good.clone(), dashboard("b", "Interactions |")], "dashboard `b`, tile `Calls`"),
    ] {
        let error = node.control.change(&author(), &action(), set(wrong)).await.expect_err(why);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    node.change(set(vec![dashboard("calls", "Errors | count")])).await;
    let changes = compare(&made.decree, &node.control.live().decree);
    let told: Vec<_> = changes.iter().map(|it| (it.kind, it.id.as_str(), it.change)).collect();
    assert_eq!(told, [("dashboard", "calls", "changed")]);
    let file = Decree { dashboards: vec![good], ..seed() };
    assert_eq!(node.control.follow_file(file).expect("is read"), ["dashboards"]);

    let unread = vec![dashboard("calls", "of another version |")];
    let kept = Decree { dashboards: unread, ..seed() };
    kept.validate_after(&kept, &hasher()).expect("what was there is left alone");
    kept.validate_after(&seed(), &hasher()).expect_err("it is written anew");
}
