//! Signatures hold for what was signed and for nothing else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use event::{Frame, LedgerCheckpoint, Note, Record, Timestamp};

use super::support::*;
use crate::{
    Checkpoint, FindingKind, Ledger, PublicKey, Report, SigningKey, Span, Trust, verify_span,
};

fn check(dir: &Path, trust: &Trust) -> Report {
    verify_span(dir, &Span::default(), trust, |_| {}).unwrap()
}

fn trusted(keys: &[&SigningKey]) -> Trust {
    let keys = keys.iter().map(|key| key.public_key()).collect();
    Trust { keys, checkpoints: Vec::new() }
}

fn findings(report: &Report) -> Vec<(FindingKind, &str)> {
    report.findings.iter().map(|finding| (finding.kind, finding.text.as_str())).collect()
}

fn rows(ledger: &Ledger) -> Vec<LedgerCheckpoint> {
    let record = |frame: Frame| Record::decode(frame.kind, &frame.payload).unwrap();
    let checkpoint = |frame| match record(frame) {
        Record::Note(note) => match *note {
            Note::LedgerCheckpoint(row) => Some(row),
            _ => None,
        },
        _ => None,
    };
    frames(ledger).into_iter().filter_map(checkpoint).collect()
}

fn planted(row: LedgerCheckpoint) -> Frame {
    Record::Note(Box::new(Note::LedgerCheckpoint(row))).encode(id(999))
}

#[tokio::test]
async fn a_signature_vouches_for_everything_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (key, next) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let (ledger, _) = open(dir.path(), &small());
    assert_eq!(ledger.checkpoint(&key).await.unwrap(), None, "nothing is there to be signed");
    keep(&ledger, [opened(1), closed(1)]).await;
    assert!(ledger.checkpoint(&key).await.unwrap().is_some());
    assert_eq!(ledger.checkpoint(&key).await.unwrap(), None, "nothing came since");
    keep(&ledger, [opened(2), closed(2)]).await;
    assert!(ledger.checkpoint(&next).await.unwrap().is_some());
    ledger.close().await.unwrap();

    let report = check(dir.path(), &Trust::default());
    assert_eq!(findings(&report), []);
    assert_eq!((report.checkpoints, report.signed_sequence, report.last_sequence), (2, 5, 6));
    let keys = [key.public_key().to_string(), next.public_key().to_string()];
    assert_eq!(report.signed_by, keys);
    assert!(check(dir.path(), &trusted(&[&next, &key])).is_clean());

    let report = check(dir.path(), &trusted(&[&key]));
    let [(FindingKind::BadSignature, text)] = findings(&report)[..] else { panic!("{report:#?}") };
    assert!(text.contains("none of the public keys given"), "{text}");
}

#[tokio::test]
async fn a_signature_does_not_move_to_another_history() {
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    keep(&ledger, [opened(1), closed(1)]).await;
    let fork = copy(dir.path());
    keep(&ledger, [opened(2), closed(2)]).await;
    ledger.checkpoint(&key).await.unwrap();
    let signed = rows(&ledger).remove(0);

    let (forked, _) = open(fork.path(), &small());
    keep(&forked, [opened(3), closed(3)]).await;
    keep(&forked, [planted(signed.clone())]).await;
    let altered = LedgerCheckpoint { digest: "00".repeat(32), ..signed.clone() };
    keep(&forked, [planted(altered)]).await;
    keep(&forked, [planted(LedgerCheckpoint { digest: "0g".repeat(32), ..signed.clone() })]).await;
    forked.close().await.unwrap();
    let report = check(fork.path(), &Trust::default());
    let texts: Vec<&str> = findings(&report).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        texts,
        [
            "the checkpoint does not hold: the chain at sequence 4 is not what was signed",
            "the checkpoint does not hold: the signature is not that of its key",
            "the checkpoint does not hold: it cannot be read",
        ]
    );

    let other = tempfile::tempdir().unwrap();
    let (ledger, _) = open(other.path(), &small());
    keep(&ledger, [planted(signed)]).await;
    ledger.close().await.unwrap();
    let report = check(other.path(), &Trust::default());
    let expected =
        (FindingKind::BadSignature, "the checkpoint does not hold: it is of another ledger");
    assert_eq!(findings(&report), [expected]);
}

#[tokio::test]
async fn a_checkpoint_kept_elsewhere_finds_what_was_cut_off_or_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (key, thief) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let (ledger, _) = open(dir.path(), &small());
    keep(&ledger, [opened(1), closed(1)]).await;
    let before = copy(dir.path());
    keep(&ledger, [opened(2), closed(2)]).await;
    ledger.checkpoint(&key).await.unwrap();
    let note = Checkpoint::note_of(&rows(&ledger)[0]).unwrap();
    ledger.close().await.unwrap();

    let keys = [thief.public_key(), key.public_key()];
    let kept = Checkpoint::from_note(&note, &keys).unwrap();
    let trust = Trust { keys: Vec::new(), checkpoints: vec![kept.clone()] };
    assert!(check(dir.path(), &trust).is_clean());

    let report = check(before.path(), &trust);
    let text = "it ends before sequence 4, which a checkpoint from elsewhere names";
    assert_eq!(findings(&report), [(FindingKind::Unsigned, text)]);

    let (ledger, _) = open(before.path(), &small());
    keep(&ledger, [opened(3), closed(3), opened(4), closed(4)]).await;
    ledger.close().await.unwrap();
    let report = check(before.path(), &trust);
    let text = "the chain does not go through a checkpoint from elsewhere";
    assert_eq!(findings(&report), [(FindingKind::BadSignature, text)]);

    for (note, keys, why) in [
        (note.clone(), &keys[..1], "none of the public keys has signed it"),
        (note.replacen("\n4\n", "\n5\n", 1), &keys[..], "none of the public keys has signed it"),
        ("hello\n".into(), &keys[..], "it is no signed note"),
        ("hello\n\n\u{2014} x y\n".into(), &keys[..], "no checkpoint of a ledger"),
    ] {
        let error = Checkpoint::from_note(&note, keys).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn with_keys_given_a_long_end_without_signature_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let time = Arc::new(AtomicI64::new(noon().unix_micros()));
    let clock = Arc::clone(&time);
    let now = move || Timestamp::from_unix_micros(clock.load(Ordering::Relaxed));
    let later = |minutes: i64| time.fetch_add(minutes * 60_000_000, Ordering::Relaxed);
    let (ledger, _) = Ledger::open(dir.path(), small(), now).unwrap();
    keep(&ledger, [opened(1), closed(1)]).await;
    ledger.checkpoint(&key).await.unwrap();
    later(600);
    keep(&ledger, [opened(2), closed(2)]).await;
    let trust = trusted(&[&key]);
    assert_eq!(findings(&check(dir.path(), &trust)), [], "a quiet night is no gap");
    later(61);
    keep(&ledger, [opened(3), closed(3)]).await;
    let report = check(dir.path(), &trust);
    let text = "its last hour and more is signed by none of the public keys given";
    assert_eq!(findings(&report), [(FindingKind::Unsigned, text)]);
    assert!(check(dir.path(), &Trust::default()).is_clean());
    ledger.checkpoint(&key).await.unwrap();
    assert!(check(dir.path(), &trust).is_clean());
}

#[test]
fn keys_are_read_as_openssl_writes_them_and_nothing_else_is() {
    // `openssl genpkey -algorithm ed25519`, and its `openssl pkey -pubout`: RFC 8410, 10.3 and 10.1.
    let private = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
    let public = "-----BEGIN PUBLIC KEY-----\n\
                  MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                  -----END PUBLIC KEY-----\n";
    let key = SigningKey::from_pem(private).unwrap();
    assert_eq!(key.public_key().to_pem(), public);
    assert_eq!(key.to_pem().unwrap(), private);
    assert_eq!(PublicKey::from_pem(public).unwrap(), key.public_key());

    let made = SigningKey::generate().unwrap();
    let read = SigningKey::from_pem(&made.to_pem().unwrap()).unwrap();
    assert_eq!(read.public_key(), made.public_key());
    assert!(!format!("{made:?}").contains(&made.to_pem().unwrap()[30..60]));

    for wrong in ["", "secret", public] {
        let error = SigningKey::from_pem(wrong).unwrap_err().to_string();
        assert!(error.contains("gatehouse audit key"), "{error}");
    }
    let p256 = "-----BEGIN PUBLIC KEY-----\n\
                MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n\
                q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n\
                -----END PUBLIC KEY-----\n";
    for wrong in ["", private, p256] {
        let error = PublicKey::from_pem(wrong).unwrap_err().to_string();
        assert!(error.contains("gatehouse audit public-key"), "{error}");
    }
}
