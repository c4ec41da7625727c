//! Approvals outlive the gateway: on SQLite always, on PostgreSQL where the machine has one.

use tempfile::TempDir;
use testing::PostgresServer;

use super::{Node, action, author};
use crate::{Action, Approval, ApprovalState, Error, ErrorKind, Place};

fn asked(id: &str, at_s: i64) -> Approval {
    Approval {
        id: id.into(),
        state: ApprovalState::Waiting,
        purpose: "case 7".into(),
        requester_id: "ada".into(),
        requester_name: "Ada".into(),
        requested_at_s: at_s,
        approver_id: String::new(),
        approver_name: String::new(),
        ends_at_s: at_s + 100,
    }
}

fn decided(asked: &Approval, state: ApprovalState, ends_at_s: i64) -> Approval {
    let (approver_id, approver_name) = ("bob".into(), "Bob".into());
    Approval { state, approver_id, approver_name, ends_at_s, ..asked.clone() }
}

async fn keep(node: &Node, approval: &Approval) -> Result<(), Error> {
    let action = Action { operation: "approvals/test", ..action() };
    node.control.keep_approval(&author(), &action, approval).await
}

async fn listed(node: &Node, now_s: i64) -> Vec<(String, ApprovalState)> {
    let kept = node.control.approvals(now_s).await.expect("lists");
    kept.into_iter().map(|one| (one.id, one.state)).collect()
}

async fn restart(node: Node, place: Option<Place>) -> Node {
    let Node { control, ledger, folder, .. } = node;
    ledger.close().await.expect("closes");
    drop(control);
    Node::start_in(folder, place).await.expect("opens")
}

/// A node whose state is in the configuration file.
async fn without_database() -> Node {
    Node::start_of(TempDir::new().expect("a folder"), None).await.expect("opens")
}

#[tokio::test]
async fn approvals_outlive_a_restart_and_end_when_they_would_have() {
    let node = Node::start(None).await;
    let (first, second) = (asked("1", 10), asked("2", 20));
    keep(&node, &first).await.expect("kept");
    keep(&node, &second).await.expect("kept");
    let approved = decided(&first, ApprovalState::Approved, 60);
    keep(&node, &approved).await.expect("kept");
    let node = restart(node, None).await;
    assert_eq!(node.control.approvals(59).await.expect("lists"), [second.clone(), approved]);
    let states = |pairs: &[(&str, ApprovalState)]| -> Vec<_> {
        pairs.iter().map(|(id, state)| ((*id).to_owned(), *state)).collect()
    };
    let (waiting, ended) = (ApprovalState::Waiting, ApprovalState::Ended);
    assert_eq!(listed(&node, 60).await, states(&[("2", waiting), ("1", ended)]));
    assert_eq!(listed(&node, 120).await, states(&[("2", ended), ("1", ended)]));
    // Whoever decides second is told so, and the first decision stays.
    keep(&node, &decided(&second, ApprovalState::Denied, 30)).await.expect("kept");
    let late = keep(&node, &decided(&second, ApprovalState::Approved, 90)).await;
    assert_eq!(late.expect_err("decided").kind(), ErrorKind::Conflict);
    assert_eq!(listed(&node, 40).await[0].1, ApprovalState::Denied);
    let (lines, _) = node.recorded();
    let outcomes: Vec<_> = lines
        .iter()
        .filter(|(operation, _)| operation == "approvals/test")
        .map(|(_, outcome)| &**outcome)
        .collect();
    assert_eq!(outcomes, ["succeeded", "succeeded", "succeeded", "succeeded", "failed"]);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_kept() {
    let node = Node::start(None).await;
    keep(&node, &asked("1", 10)).await.expect("kept");
    node.ledger.close().await.expect("closes");
    let refused = keep(&node, &asked("2", 10)).await.expect_err("no record");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(listed(&node, 0).await.len(), 1);
}

#[tokio::test]
async fn a_state_in_a_file_keeps_them_too_and_the_oldest_give_way() {
    let node = without_database().await;
    keep(&node, &asked("0", 0)).await.expect("kept");
    for number in 1..6 {
        let approval = asked(&number.to_string(), number);
        let database = &node.control.0.approvals;
        let kept = database.keep_approval(&approval, 3, Box::pin(async { Ok(()) }));
        kept.await.expect("kept");
    }
    let Node { control, ledger, folder, .. } = node;
    ledger.close().await.expect("closes");
    drop(control);
    let node = Node::start_of(folder, None).await.expect("opens");
    assert_eq!(node.control.status().source, "file");
    let kept: Vec<_> = listed(&node, 0).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(kept, ["5", "4", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_share_approvals_through_postgresql_and_ask_nobody_else_without_it() {
    let Some(mut server) = PostgresServer::start() else { return };
    let place = Place::postgres(&server.url(), None).expect("a URL");
    let first = Node::start(Some(place.clone())).await;
    let second = Node::start(Some(place.clone())).await;
    let one = asked("1", 10);
    keep(&first, &one).await.expect("kept");
    keep(&second, &decided(&one, ApprovalState::Approved, 60)).await.expect("kept");
    assert_eq!(listed(&first, 20).await, [("1".to_owned(), ApprovalState::Approved)]);
    let late = keep(&first, &decided(&one, ApprovalState::Denied, 30)).await;
    assert_eq!(late.expect_err("decided").kind(), ErrorKind::Conflict);
    server.kill();
    let gone = first.control.approvals(20).await.expect_err("it is gone");
    assert_eq!(gone.kind(), ErrorKind::Unavailable);
    server.restart();
    let first = restart(first, Some(place)).await;
    assert_eq!(listed(&first, 20).await, [("1".to_owned(), ApprovalState::Approved)]);
}
