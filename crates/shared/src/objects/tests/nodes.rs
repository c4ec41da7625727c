//! What one node learns the other knows, through a real Redis that is killed on the way.

use std::time::Instant;

use testing::RedisServer;

use super::*;
use crate::tests::server::redis;

/// A node that waits so long for Redis.
fn node(dir: &Path, server: &RedisServer, name: &str) -> World {
    let world = open(dir);
    world.objects.share(Directory::new(redis(server.port(), SOON), name.into()));
    world
}

/// Tends both until what is asked for an id is told.
async fn settled(nodes: [&World; 2], id: &str) -> Option<String> {
    let until = Instant::now() + SOON;
    loop {
        for world in nodes {
            let _ = world.objects.tend().await;
        }
        match nodes[1].objects.find(id).await {
            Ok(known) => return known.map(|known| known.owner.clone()),
            Err(error) => assert!(Instant::now() < until, "{}", error.story()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn ids(owned: &[Owned]) -> Vec<&str> {
    owned.iter().map(|object| object.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_learns_the_other_knows_at_once() {
    let Some(server) = RedisServer::start() else { return };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (a, b) = (node(dirs[0].path(), &server, "a"), node(dirs[1].path(), &server, "b"));
    let refused = b.objects.find("file-0").await.expect_err("a new store knows not all");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(settled([&a, &b], "file-0").await, None, "after a while it does");
    for number in 1..20 {
        let (from, to) = if number % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let owner = if number % 3 == 0 { "eve" } else { "ann" };
        let id = format!("file-{number}");
        from.note(record(number, owner, &[&id], &[])).await;
        let known = to.objects.find(&id).await.unwrap().expect("known at once");
        assert_eq!((known.owner.as_str(), known.made_at.unix_micros()), (owner, number));
        assert_eq!(known.backend_id, format!("home-of-{owner}"));
    }
    // The same list on both, in the order of making, and each object once.
    b.note(record(50, "ann", &["file-2"], &[])).await;
    let (one, two) = (a.objects.owned("ann", "file").await, b.objects.owned("ann", "file").await);
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one, two);
    let want: Vec<String> = (1..20).filter(|n| n % 3 != 0).map(|n| format!("file-{n}")).collect();
    assert_eq!(ids(&one), want);
    // Deleted on the other node than it was made.
    b.note(record(60, "ann", &[], &["file-4"])).await;
    assert_eq!(b.owner("file-4").await, None);
    assert!(b.follower.settle(SOON));
    assert_eq!(b.owner("file-4").await, None);
    assert!(!ids(&b.objects.owned("ann", "file").await.unwrap()).contains(&"file-4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_what_is_known_is_known_and_the_rest_is_not_denied() {
    let Some(mut server) = RedisServer::start() else { return };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (a, b) = (node(dirs[0].path(), &server, "a"), node(dirs[1].path(), &server, "b"));
    assert_eq!(settled([&a, &b], "file-0").await, None);
    a.note(record(1, "ann", &["file-1"], &[])).await;
    a.note(record(2, "ann", &["file-2"], &[])).await;
    assert_eq!(b.owner("file-1").await.as_deref(), Some("ann"));
    server.kill();
    a.note(record(3, "ann", &["file-3"], &[])).await;
    a.note(record(4, "ann", &[], &["file-2"])).await;
    assert_eq!(a.owner("file-3").await.as_deref(), Some("ann"), "what it knows itself");
    assert_eq!(b.owner("file-1").await.as_deref(), Some("ann"), "what it has looked up");
    for id in ["file-2", "file-3", "file-none"] {
        let refused = b.objects.find(id).await.expect_err(id);
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
    }
    assert!(b.objects.owned("ann", "file").await.is_err(), "a part is no list");
    // It comes back empty: the nodes say what they know before anything is denied.
    server.restart();
    assert_eq!(settled([&a, &b], "file-3").await.as_deref(), Some("ann"));
    assert_eq!(settled([&a, &b], "file-2").await, None);
    assert_eq!(settled([&a, &b], "file-none").await, None);
    assert_eq!(ids(&b.objects.owned("ann", "file").await.unwrap()), ["file-1", "file-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgets_hears_all_again_and_models_are_heard_of() {
    let Some(server) = RedisServer::start() else { return };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (a, b) = (node(dirs[0].path(), &server, "a"), node(dirs[1].path(), &server, "b"));
    let many: Vec<String> = (0..1_200).map(|number| format!("file-{number:04}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    a.note(record(1, "ann", &many, &[])).await;
    let mut model = record(2, "ann", &["ft:gpt-4o:org::1"], &[]);
    model.made[0].kind = table::MODEL_KIND.into();
    a.note(model).await;
    assert!(a.follower.settle(SOON));
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    std::io::Write::write_all(&mut stream, b"FLUSHALL\r\n").unwrap();
    let mut answer = [0; 5];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(&answer, b"+OK\r\n");
    assert!(b.objects.find("file-0007").await.is_err(), "a store that forgot is not believed");
    assert_eq!(settled([&a, &b], "file-1199").await.as_deref(), Some("ann"));
    assert_eq!(settled([&a, &b], "file-none").await, None);
    b.objects.tend().await.unwrap();
    let heard = b.objects.model("ft:gpt-4o:org::1").expect("it was heard of");
    assert_eq!(heard.backend_id, "home-of-ann");
    a.note(record(3, "ann", &[], &["ft:gpt-4o:org::1"])).await;
    b.objects.tend().await.unwrap();
    assert_eq!(b.objects.model("ft:gpt-4o:org::1"), None);
}

#[test]
fn the_form_in_redis_is_the_one_of_version_1() {
    let known = Known {
        kind: "message".into(),
        backend_id: "east".into(),
        owner: "team".into(),
        parent: "thread_1".into(),
        made_at: Timestamp::from_unix_micros(1_795_617_000_000_001),
    };
    let text = r#"{"kind":"message","backend":"east","owner":"team","parent":"thread_1","made_at_unix_us":1795617000000001}"#;
    assert_eq!(String::from_utf8(table::text(&known)).unwrap(), text);
    assert_eq!(table::parse("msg_1", text.as_bytes()), Some(known));
}
