//! Alert rules of the state: checked by themselves, and by what the gateway has through which they come.

use policy::AlertRule;

use super::{Node, action, author, hasher, seed};
use crate::{Decree, Error, ErrorKind, Place, compare};

fn rule(id: &str, query: &str, sink: &str) -> AlertRule {
    let sinks = vec![sink.to_owned()];
    AlertRule { id: id.into(), query: query.into(), sinks, ..AlertRule::default() }
}

fn set(rules: Vec<AlertRule>) -> impl Fn(&mut Decree) -> Result<(), Error> + Clone {
    move |decree| {
        decree.alert_rules.clone_from(&rules);
        Ok(())
    }
}

#[tokio::test]
async fn alert_rules_are_part_of_the_state_and_their_queries_are_kql() {
    let text = serde_json::to_string(&Decree::default()).expect("serialises");
    assert!(!text.contains("alert_rules"), "a gateway from before reads it: {text}");

    let node = Node::start(None).await;
    *node.published.1.lock().expect("no panic") = "away";
    let good = rule("a", "Interactions", "here");
    node.change(set(vec![good.clone()])).await;
    let made = node.control.live();
    assert_eq!(made.decree.alert_rule("a").expect("is there"), &good);
    let missing = made.decree.alert_rule("audit-behind").expect_err("is not of the state");
    assert_eq!(missing.kind(), ErrorKind::Missing);
    assert!(missing.to_string().contains("put one with its id"), "{missing}");
    for (wrong, why) in [
        (vec![good.clone(), good.clone()], "rename one"),
        (vec![good.clone(), rule("b", "Interactions |", "here")], "alert rule `b`: line 1"),
        (vec![good.clone(), rule("b", "Interactions", "away")], "no sink `away`"),
    ] {
        let tried = node.control.dry_run(set(wrong.clone())).await.map(drop);
        let changed = node.control.change(&author(), &action(), set(wrong)).await.map(drop);
        for refused in [tried, changed] {
            let error = refused.expect_err(why);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
    assert_eq!(node.control.live().number, made.number, "nothing was kept");
    node.change(set(vec![rule("a", "Errors", "here")])).await;
    let changes = compare(&made.decree, &node.control.live().decree);
    let told: Vec<_> = changes.iter().map(|it| (it.kind, it.id.as_str(), it.change)).collect();
    assert_eq!(told, [("alert_rule", "a", "changed")]);
    let none: [&str; 0] = [];
    assert_eq!(node.control.follow_file(seed()).expect("is read"), none, "a file overrules none");
}

#[tokio::test]
async fn what_came_before_or_through_another_gateway_is_served_and_left_alone() {
    let unread = Decree { alert_rules: vec![rule("a", "of another version |", "here")], ..seed() };
    unread.validate_after(&unread, &hasher()).expect("what was there is left alone");
    unread.validate_after(&seed(), &hasher()).expect_err("it is written anew");

    let folder = tempfile::TempDir::new().expect("a folder");
    let place = Place::Sqlite(folder.path().join("shared.sqlite"));
    let first = Node::start(Some(place.clone())).await;
    let second = Node::start(Some(place)).await;
    *second.published.1.lock().expect("no panic") = "here";
    first.change(set(vec![rule("a", "Interactions", "here")])).await;
    second.control.look().await.expect("looks");
    let published = second.published.0.lock().expect("no panic").last().cloned();
    assert_eq!(published, Some(first.control.live().decree.clone()), "it is in force there too");
    let other = |decree: &mut Decree| {
        decree.alert_rules.push(rule("b", "Errors", "there"));
        Ok(())
    };
    second.change(other).await;
    let lost = set(vec![rule("c", "Errors", "here")]);
    second.control.change(&author(), &action(), lost).await.expect_err("it is not there");
    first.control.look().await.expect("looks");
    assert_eq!(first.control.live().decree.alert_rules.len(), 2);
    let kept = first.control.version(2).await.expect("is kept");
    let back = move |decree: &mut Decree| {
        *decree = kept;
        Ok(())
    };
    assert_eq!(first.change(back).await, 4, "it is rolled back");
    assert_eq!(first.control.live().decree.alert_rules.len(), 1);
}
