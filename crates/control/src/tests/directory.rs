//! Users and groups: on SQLite always, on PostgreSQL where the machine has one, and without either.

use std::time::Duration;

use serde_json::{Map, Value, json};
use testing::PostgresServer;
use tokio_util::sync::CancellationToken;

use super::{Node, action, author, subscribe};
use crate::{Action, Control, Error, ErrorKind, Known, Place, Resource, ResourceKind};

fn attributes(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn user(id: &str) -> Resource {
    let text =
        json!({ "userName": format!("{id}@example.org"), "externalId": format!("oid-{id}") });
    Resource {
        id: id.into(),
        kind: ResourceKind::User,
        attributes: attributes(text),
        members: Default::default(),
        created_at_us: 1,
        changed_at_us: 1,
    }
}

fn group(id: &str, members: &[&str]) -> Resource {
    Resource {
        kind: ResourceKind::Group,
        attributes: attributes(json!({ "displayName": id, "externalId": format!("oid-{id}") })),
        members: members.iter().map(|member| (*member).to_owned()).collect(),
        ..user(id)
    }
}

async fn put(control: &Control, resource: Resource) -> Result<(), Error> {
    let action = Action { id: resource.id.clone(), ..action() };
    let kind = resource.kind;
    control.put_resource(&author(), &action, kind, |_| Ok(resource.clone())).await.map(drop)
}

async fn delete(control: &Control, kind: ResourceKind, id: &str) -> Result<(), Error> {
    let action = Action { id: id.into(), ..action() };
    control.delete_resource(&author(), &action, kind).await
}

fn known(is_active: bool, groups: &[&str]) -> Option<Known> {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Some(Known { is_active, groups })
}

/// What two gateways do with one directory, whatever keeps it.
async fn share(first: &Node, second: &Node) {
    put(&first.control, user("ann")).await.expect("made");
    put(&first.control, group("team", &["ann"])).await.expect("made");
    second.control.look().await.expect("looks");
    let directory = second.control.directory();
    assert_eq!(directory.known("oid-ann"), known(true, &["oid-team"]));
    // An edit begins with the newest, not with what this node has.
    put(&second.control, user("bob")).await.expect("made");
    put(&second.control, group("team", &["ann", "bob"])).await.expect("changed");
    let other = Resource { id: "eve".into(), ..user("ann") };
    let error = put(&first.control, other).await.expect_err("her name is taken");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(first.control.directory().known("oid-bob"), known(true, &["oid-team"]));
    let mut gone = user("ann");
    gone.attributes.insert("active".into(), false.into());
    put(&first.control, gone).await.expect("deactivated");
    delete(&first.control, ResourceKind::User, "bob").await.expect("deleted");
    let missing = delete(&first.control, ResourceKind::User, "bob").await;
    assert_eq!(missing.expect_err("it is gone").kind(), ErrorKind::Missing);
    second.control.look().await.expect("looks");
    assert_eq!(directory.known("oid-ann"), known(false, &["oid-team"]));
    assert_eq!(directory.known("oid-bob"), None);
    let team = directory.get(ResourceKind::Group, "team").expect("it is there");
    assert_eq!(team.members.iter().collect::<Vec<_>>(), ["ann"], "the deleted left their groups");
    assert_eq!(directory.copy(), first.control.directory().copy());
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_share_users_and_groups_through_postgresql() {
    let Some(mut server) = PostgresServer::start() else { return };
    let place = Place::postgres(&server.url(), None).expect("a URL");
    let first = Node::start(Some(place.clone())).await;
    let second = Node::start(Some(place.clone())).await;
    share(&first, &second).await;
    // Changes at once from both: each is kept once, in some order.
    let at_once = (0..20).map(|number| {
        let (node, id) = (if number % 2 == 0 { &first } else { &second }, format!("user{number}"));
        let control = node.control.clone();
        tokio::spawn(async move {
            loop {
                match put(&control, user(&id)).await {
                    Err(error) if error.kind() == ErrorKind::Stale => {}
                    result => return result,
                }
            }
        })
    });
    for done in at_once.collect::<Vec<_>>() {
        done.await.expect("no panic").expect("made");
    }
    for node in [&first, &second] {
        node.control.look().await.expect("looks");
        assert_eq!(node.control.directory().all(ResourceKind::User).len(), 21);
    }
    assert_eq!(first.control.directory().copy(), second.control.directory().copy());
    server.kill();
    let refused = put(&first.control, user("late")).await.expect_err("it is gone");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(first.control.directory().known("oid-user0"), known(true, &[]), "it goes on");
    server.restart();
    put(&second.control, user("late")).await.expect("it is back");
    first.control.look().await.expect("looks");
    assert_eq!(first.control.directory().known("oid-late"), known(true, &[]));
    // One that begins now reads everything.
    let third = Node::start(Some(place)).await;
    assert_eq!(third.control.directory().copy(), first.control.directory().copy());
}

#[tokio::test]
async fn a_gateway_that_starts_without_its_database_knows_the_users_and_groups_of_before() {
    let node = Node::start(None).await;
    node.change(subscribe("team")).await;
    put(&node.control, user("ann")).await.expect("made");
    put(&node.control, group("team", &["ann"])).await.expect("made");
    let mut gone = user("bob");
    gone.attributes.insert("active".into(), false.into());
    put(&node.control, gone).await.expect("made");
    let before = node.control.directory().copy();
    let stop = CancellationToken::new();
    let running = tokio::spawn(node.control.clone().run(stop.clone()));
    let file = node.folder.path().join("control-directory.ndjson");
    tokio::time::timeout(Duration::from_secs(30), async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it is written while it runs");
    // What comes within the pause is written at the end.
    put(&node.control, user("last")).await.expect("made");
    stop.cancel();
    running.await.expect("ends");
    let after = node.control.directory().copy();
    assert_ne!(before, after);
    let Node { control, ledger, folder, .. } = node;
    ledger.close().await.expect("closes");
    drop(control);

    let gone = Place::postgres("postgres://nobody@127.0.0.1:1/none", None).expect("a URL");
    let node = Node::start_in(folder, Some(gone)).await.expect("begins");
    let directory = node.control.directory();
    assert_eq!(directory.known("oid-ann"), known(true, &["oid-team"]));
    assert_eq!(directory.known("oid-bob"), known(false, &[]), "who was shut out is");
    assert_eq!(directory.copy(), after);
    let refused = put(&node.control, user("eve")).await.expect_err("no database");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);

    // A copy that is not whole counts as none.
    let Node { control, ledger, folder, .. } = node;
    ledger.close().await.expect("closes");
    drop(control);
    let file = folder.path().join("control-directory.ndjson");
    let text = std::fs::read_to_string(&file).expect("readable");
    let cut = text.lines().take(2).collect::<Vec<_>>().join("\n");
    std::fs::write(&file, cut).expect("writable");
    let gone = Place::postgres("postgres://nobody@127.0.0.1:1/none", None).expect("a URL");
    let node = Node::start_in(folder, Some(gone)).await.expect("begins");
    assert_eq!(node.control.directory().known("oid-ann"), None);
}

/// The format of the copy, which later versions go on to read.
#[test]
fn a_copy_of_the_first_format_opens() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let text = include_str!("../../testdata/control-directory-1.ndjson");
    std::fs::write(folder.path().join("control-directory.ndjson"), text).expect("writable");
    let read = crate::cache::read_directory(&folder.path().join("control.json"));
    let (generation, rows) = read.expect("it opens");
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!((generation, &ids[..]), (7, &["ann", "team"][..]));
    let directory = crate::Directory::default();
    for row in &rows {
        directory.write().take(row).expect("it is read");
    }
    assert_eq!(directory.known("oid-ann"), known(true, &["oid-team"]));
}
