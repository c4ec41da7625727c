//! A rule whose query fails: how often it is tried, and what is made up for once it answers.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kql::{Frame, Options, QueryError, QueryErrorKind};
use ledger::{Ledger, LedgerConfig};
use net::{EgressConfig, EgressRules};
use policy::AlertRule;
use tempfile::TempDir;

use super::super::delivery::Courier;
use super::super::rule::{AlertsConfig, builtin_rules};
use super::super::watcher::{Watcher, WatcherParts};
use super::{START_S, at, rule, vault};
use crate::metrics::gen_ai::GenAiVersion;
use crate::metrics::{Convention, Metrics};

/// Fails until it is told not to; notes at which second it was asked.
struct Failing {
    is_up: AtomicBool,
    now_s: Arc<AtomicI64>,
    asked_s: Mutex<Vec<i64>>,
    /// How long a query takes.
    takes_s: i64,
}

#[async_trait]
impl kql::Engine for Failing {
    async fn run(&self, _: &str, _: &Options) -> Result<Frame, QueryError> {
        let asked_s = self.now_s.fetch_add(self.takes_s, Ordering::SeqCst);
        self.asked_s.lock().unwrap().push(asked_s - START_S);
        match self.is_up.load(Ordering::SeqCst) {
            true => Ok(Frame::default()),
            false => {
                Err(QueryError::new(QueryErrorKind::LimitExceeded, "it needs too much memory"))
            }
        }
    }

    async fn export(
        &self,
        _: &str,
        _: &Options,
        _: kql::FileFormat,
    ) -> Result<kql::Export, QueryError> {
        unreachable!("alerts export nothing")
    }

    fn catalogue(&self, _: &kql::Access) -> Arc<dyn kql::Catalogue> {
        unreachable!("alerts look no names up")
    }
}

/// One rule, looked at each minute, and a clock that stands until it is set.
struct Stand {
    watcher: Watcher,
    engine: Arc<Failing>,
    now_s: Arc<AtomicI64>,
    _folder: TempDir,
}

impl Stand {
    fn new(takes_s: i64) -> Self {
        let folder = TempDir::new().unwrap();
        let now_s = Arc::new(AtomicI64::new(START_S));
        let engine = Arc::new(Failing {
            is_up: AtomicBool::new(false),
            now_s: now_s.clone(),
            asked_s: Mutex::default(),
            takes_s,
        });
        let config = LedgerConfig { segment_bytes: 1 << 20, ..LedgerConfig::default() };
        let (ledger, _) =
            Ledger::open(&folder.path().join("ledger"), config, || at(START_S)).unwrap();
        let clock = now_s.clone();
        let parts = WatcherParts {
            engine: engine.clone(),
            ledger,
            metrics: Arc::new(Metrics::new(Convention::of(GenAiVersion::V1_37))),
            look: Box::new(|| {}),
            complete_until: Box::new(Some),
            state_file: folder.path().join("alerts.json"),
            store: None,
            now: Box::new(move || at(clock.load(Ordering::SeqCst))),
        };
        let watcher = Watcher::open(parts, only_rule(), courier()).unwrap();
        Self { watcher, engine, now_s, _folder: folder }
    }

    /// Looks each second up to this one; answers at which the query ran.
    async fn look_until(&self, end_s: i64) -> Vec<i64> {
        while self.now_s.load(Ordering::SeqCst) < START_S + end_s {
            self.watcher.look(at(self.now_s.load(Ordering::SeqCst))).await;
            self.now_s.fetch_add(1, Ordering::SeqCst);
        }
        std::mem::take(&mut *self.engine.asked_s.lock().unwrap())
    }
}

fn courier() -> Courier {
    let egress = EgressRules::new(&EgressConfig::only(Vec::new()));
    Courier::new(egress, None, vault(), String::new())
}

fn only_rule() -> AlertsConfig {
    let off = builtin_rules().into_iter().map(|rule| AlertRule { enabled: false, ..rule });
    AlertsConfig { rules: off.chain([rule()]).collect(), delay_s: 0, ..AlertsConfig::default() }
}

#[tokio::test]
async fn a_query_that_fails_is_tried_after_pauses_that_double_up_to_its_frequency() {
    let stand = Stand::new(0);
    assert_eq!(stand.look_until(200).await, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    stand.engine.is_up.store(true, Ordering::SeqCst);
    // Minutes 0 to 4 were missed, and are made up for at once; then it is as it was.
    assert_eq!(stand.look_until(400).await, [243, 243, 243, 243, 243, 300, 360]);
    stand.engine.is_up.store(false, Ordering::SeqCst);
    assert_eq!(stand.look_until(430).await, [420, 421, 423, 427], "the first pause again");
    stand.watcher.reconfigure(only_rule(), courier());
    assert_eq!(stand.look_until(432).await, [430, 431], "other settings may be what it lacked");
}

#[tokio::test]
async fn a_pause_begins_when_the_query_has_failed() {
    let stand = Stand::new(60);
    assert_eq!(stand.look_until(400).await, [0, 61, 123, 187, 255, 331]);
}
