//! What becomes of a backend's health: a row that can be asked for.

use crate::support::System;

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const HELLO: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;

#[test]
fn a_throttled_backend_is_a_row_and_its_callers_learn_when_to_come_back() {
    let system = System::demo();
    let throttle = [("x-sim-fault", "status=429;retry-after-ms=60000")];
    // Each backend says so once; the last one's own answer is the caller's.
    assert_eq!(system.call("POST", CHAT, &throttle, HELLO).status, 429);
    let query = "BackendHealth | where State == 'throttled' and not(IsPeriodic) \
        | extend Wait = (Until - TimeGenerated) / 1s \
        | project BackendId, Scope, DeploymentName, FormerState, Reason, ResponseCode, Wait";
    let rows = system.rows(query, 2);
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in &rows {
        assert_eq!(
            (&row["Scope"], &row["DeploymentName"]),
            (&"deployment".into(), &"gpt-4o".into())
        );
        assert_eq!((&row["FormerState"], &row["Reason"]), (&"closed".into(), &"throttled".into()));
        assert_eq!(row["ResponseCode"], 429);
        let wait = row["Wait"].as_f64().expect("seconds");
        assert!((59.0..=60.0).contains(&wait), "{row}");
    }
    assert_ne!(rows[0]["BackendId"], rows[1]["BackendId"]);
    // Nobody is asked in vain meanwhile.
    let refused = system.call("POST", CHAT, &[], HELLO);
    assert_eq!(refused.status, 429);
    let text = String::from_utf8_lossy(&refused.body);
    assert!(text.contains("BackendsThrottled"), "{text}");
    let row = system.row("Interactions | where LastErrorReason == 'BackendsThrottled'");
    assert_eq!((&row["Attempts"], &row["ResponseCode"]), (&0.into(), &429.into()));
    let first = system.row("Interactions | where Attempts == 2");
    let errors = first["Errors"].to_string();
    assert!(
        errors.contains("status 429 discarded") && errors.contains("call rate limit"),
        "{errors}"
    );
}
