//! Makes reports when they are due, delivers them, and puts on record what it did.
//!
//! A report that does not arrive is made anew when it is tried again, over the same period: nothing of its
//! content lies about meanwhile. Where nodes share a [`StateStore`], only the one with the lease makes any.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use event::{AdminAction, ContentRead, InteractionId, Json, Note, Record, Timestamp};
use kql::{Access, FileFormat, Options, TICKS_PER_SECOND, UNIX_EPOCH_TICKS};
use ledger::Ledger;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::agenda::{Agenda, CATCH_UP_MAX, Fate};
use super::config::ReportConfig;
use super::page;
use super::schedule::{Period, ReportFormat, Schedule};
use crate::alerts::{Mailer, iso};
use crate::kept::{Kept, Lease, StateStore, replace};

/// Between two looks at what is due.
const TICK: Duration = Duration::from_secs(5);
/// Longest time of one query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes of a report; mail servers rarely take more.
const REPORT_BYTES_MAX: usize = 10 << 20;

/// What a reporter works with.
pub struct ReporterParts {
    /// Answers KQL.
    pub engine: Arc<dyn kql::Engine>,
    /// Takes the record of what is done.
    pub ledger: Ledger,
    /// Up to when the tables hold all that is recorded, at this moment; none while that is not known.
    pub complete_until: Box<dyn Fn(Timestamp) -> Option<Timestamp> + Send + Sync>,
    /// Whether this identity may read content.
    pub may_read_content: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// Where the state is kept.
    pub state_file: PathBuf,
    /// Where nodes agree on who makes reports, if there are several.
    pub store: Option<Box<dyn StateStore>>,
    /// The clock.
    pub now: fn() -> Timestamp,
}

/// How a report stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportStatus {
    /// The report.
    pub report: ReportConfig,
    /// As whom it asks.
    pub identity: String,
    /// Whether it may read content.
    pub reads_content: bool,
    /// When it is made next; null if it is not.
    pub next_at: Value,
    /// What became of the last one: its period, when, and why it was given up.
    pub last: Value,
    /// Why it has not arrived yet; empty if nothing waits.
    pub failure: String,
}

/// Makes reports.
pub struct Reporter {
    parts: ReporterParts,
    settings: ArcSwap<Settings>,
    kept: Kept,
    agenda: Mutex<Agenda>,
    /// One report is made at a time.
    making: Mutex<()>,
}

struct Settings {
    reports: Vec<ReportConfig>,
    mailer: Option<Arc<Mailer>>,
}

/// A report, made.
struct Made {
    name: String,
    content: Vec<u8>,
    rows: usize,
}

impl Made {
    fn size(&self) -> String {
        format!("{} {}", self.rows, if self.rows == 1 { "row" } else { "rows" })
    }
}

impl Reporter {
    /// Goes on where the state file stops.
    pub fn open(
        mut parts: ReporterParts,
        reports: Vec<ReportConfig>,
        mailer: Option<Arc<Mailer>>,
    ) -> Result<Self, String> {
        let (file, store) = (parts.state_file.clone(), parts.store.take());
        let kept = Kept { of: "reports", file, store };
        let agenda =
            kept.load()?.map_or_else(|| Ok(Agenda::default()), |text| Agenda::parse(&text))?;
        Ok(Self {
            parts,
            settings: ArcSwap::from_pointee(Settings { reports, mailer }),
            kept,
            agenda: Mutex::new(agenda),
            making: Mutex::default(),
        })
    }

    /// Other reports from now on.
    pub fn reconfigure(&self, reports: Vec<ReportConfig>, mailer: Option<Arc<Mailer>>) {
        self.settings.store(Arc::new(Settings { reports, mailer }));
    }

    /// Makes reports until stopped.
    pub async fn run(&self, stop: CancellationToken) {
        let working = async {
            loop {
                self.work((self.parts.now)()).await;
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = working => {}
        }
    }

    /// One round over all reports: of each, the oldest that is due.
    pub async fn work(&self, now: Timestamp) {
        let settings = self.settings.load_full();
        if settings.reports.is_empty() {
            return;
        }
        let Some(until) = (self.parts.complete_until)(now) else { return };
        for report in settings.reports.iter().filter(|report| report.enabled) {
            // Each may take a while, so the lease is renewed before each.
            if !self.is_ours().await {
                return;
            }
            self.look_at(&settings, report, until, now).await;
        }
        let mut agenda = self.agenda.lock().await;
        let before = agenda.clone();
        agenda.keep_only(settings.reports.iter().map(|report| report.id.as_str()));
        if *agenda != before {
            self.keep(&agenda).await;
        }
    }

    /// Makes the report that was due last and delivers it now, whether it was before or not. Its schedule stays
    /// as it is. Answers what became of it, by where it goes.
    pub async fn make_now(&self, id: &str) -> Result<Value, String> {
        let settings = self.settings.load_full();
        let report = settings.reports.iter().find(|report| report.id == id);
        let report = report.ok_or_else(|| format!("there is no report `{id}`: list them"))?;
        let _making = self
            .making
            .try_lock()
            .map_err(|_| "a report is being made: try again when it is done".to_owned())?;
        let schedule = report.schedule()?;
        let period = schedule.last_due((self.parts.now)());
        let made = self.make(report, &schedule, period).await?;
        let mut places = Map::new();
        for place in places_of(report) {
            let sent = self.deliver(&settings, report, &schedule, (period, &made), place).await;
            let told = sent.map_or_else(|why| why, |()| "delivered".to_owned());
            places.insert(place.to_owned(), told.into());
        }
        let period = schedule.name(period);
        Ok(
            json!({ "report": id, "period": period, "rows": made.rows, "bytes": made.content.len(), "places": places }),
        )
    }

    /// All reports and how they stand.
    pub async fn reports(&self) -> Vec<ReportStatus> {
        let settings = self.settings.load_full();
        let agenda = self.agenda.lock().await;
        let now = (self.parts.now)();
        settings.reports.iter().map(|report| self.status(report, &agenda, now)).collect()
    }

    fn status(&self, report: &ReportConfig, agenda: &Agenda, now: Timestamp) -> ReportStatus {
        let standing = agenda.standing(&report.id);
        let next_at =
            report.schedule().ok().filter(|_| report.enabled).map_or(Value::Null, |schedule| {
                let settled = standing.and_then(super::agenda::Standing::settled);
                let settled = settled.unwrap_or_else(|| schedule.last_due(now).end);
                json!(iso(schedule.made_at(schedule.after(settled))))
            });
        let last = standing.and_then(|standing| standing.last.as_ref());
        let last = last.map_or(Value::Null, |last| {
            let at = iso(Timestamp::from_unix_micros(last.at_s.saturating_mul(1_000_000)));
            json!({ "period": last.period, "at": at, "failure": last.failure })
        });
        let attempt = standing.and_then(|standing| standing.attempt());
        ReportStatus {
            report: report.clone(),
            identity: report.identity(),
            reads_content: self.reads_content(report),
            next_at,
            last,
            failure: attempt.map_or_else(String::new, |attempt| attempt.why.clone()),
        }
    }

    /// This node may make reports. A state that another node kept is taken over.
    async fn is_ours(&self) -> bool {
        match self.kept.lease().await {
            Lease::Ours(None) => true,
            Lease::Ours(Some(text)) => match Agenda::parse(&text) {
                Ok(agenda) => {
                    *self.agenda.lock().await = agenda;
                    true
                }
                Err(error) => {
                    tracing::error!(error, "reports rest: their shared state cannot be read");
                    false
                }
            },
            Lease::Theirs => false,
        }
    }

    /// Makes the report that is due, if one is, and keeps what became of it.
    async fn look_at(
        &self,
        settings: &Settings,
        report: &ReportConfig,
        until: Timestamp,
        now: Timestamp,
    ) {
        let Ok(schedule) = report.schedule() else { return };
        let (due, given_up) = {
            let mut agenda = self.agenda.lock().await;
            let before = agenda.clone();
            let due = agenda.due(&report.id, &schedule, until);
            if *agenda != before {
                self.keep(&agenda).await;
            }
            due
        };
        if given_up > 0 {
            let why = format!("{given_up} are given up: more than {CATCH_UP_MAX} were due");
            self.note_failure(report, &why, now).await;
        }
        let Some((period, arrived)) = due else { return };
        let _making = self.making.lock().await;
        let (arrived, done) = self.attempt(settings, report, &schedule, (period, arrived)).await;
        let named = (period, schedule.name(period));
        let mut agenda = self.agenda.lock().await;
        match done {
            Ok(()) => agenda.delivered(&report.id, named, now),
            Err(why) => {
                let period = named.1.clone();
                let told = match agenda.failed(&report.id, named, (arrived, &why), now) {
                    Fate::Retry => format!("{period}: {why}; it is tried again"),
                    Fate::RetryAgain => String::new(),
                    Fate::GivenUp => format!("{period}: {why}; it is given up"),
                };
                if !told.is_empty() {
                    self.note_failure(report, &told, now).await;
                }
            }
        }
        self.keep(&agenda).await;
    }

    /// One attempt at all places where the report has not arrived: where it has then, and whether that is
    /// everywhere and on record.
    async fn attempt(
        &self,
        settings: &Settings,
        report: &ReportConfig,
        schedule: &Schedule,
        (period, mut arrived): (Period, Vec<String>),
    ) -> (Vec<String>, Result<(), String>) {
        let made = match self.make(report, schedule, period).await {
            Ok(made) => made,
            Err(why) => return (arrived, Err(why)),
        };
        let mut failures = Vec::new();
        for place in places_of(report) {
            if arrived.iter().any(|known| known == place) {
                continue;
            }
            match self.deliver(settings, report, schedule, (period, &made), place).await {
                Ok(()) => arrived.push(place.to_owned()),
                Err(why) => failures.push(format!("{place}: {why}")),
            }
        }
        if !failures.is_empty() {
            return (arrived, Err(failures.join("; ")));
        }
        let name = schedule.name(period);
        let told = format!("{name}: {} to {}", made.size(), arrived.join(" and "));
        let noted = self.note(report, "succeeded", &told, (self.parts.now)()).await;
        (arrived, noted)
    }

    /// Asks the query and makes a file of its result. A read of content is on record before this returns.
    async fn make(
        &self,
        report: &ReportConfig,
        schedule: &Schedule,
        period: Period,
    ) -> Result<Made, String> {
        let (start, end) = schedule.bounds(period);
        let mut access = Access::without_content();
        if self.reads_content(report) {
            access = Access::everything();
        }
        let options = Options {
            now_ticks: Some(ticks(end)),
            timeout: QUERY_TIMEOUT,
            rows_max: u64::MAX,
            bytes_max: REPORT_BYTES_MAX as u64,
            time_range: Some((ticks(start), ticks(end))),
            principal: Some(report.identity()),
            access,
            ..Options::default()
        };
        let csv = tokio::time::timeout(QUERY_TIMEOUT, self.ask(report, &options)).await;
        let csv =
            csv.map_err(|_| "its query took more than a minute: ask for less".to_owned())??;
        let rows = csv::Reader::from_reader(&csv[..]).into_records().count();
        let (content, ending) = match report.format {
            ReportFormat::Csv => (csv, "csv"),
            ReportFormat::Html => {
                let covers = format!("{} to {}, {rows} rows", iso(start), iso(end));
                let page = page::html(report.title(), &covers, &csv);
                (page.map_err(|error| error.to_string())?, "html")
            }
        };
        if content.len() > REPORT_BYTES_MAX {
            let most = REPORT_BYTES_MAX >> 20;
            return Err(format!("it has more than {most} MiB: ask for less, or make it CSV"));
        }
        let name = format!("{}-{}.{ending}", report.id, schedule.name(period));
        Ok(Made { name, content, rows })
    }

    async fn ask(&self, report: &ReportConfig, options: &Options) -> Result<Vec<u8>, String> {
        let export = self.parts.engine.export(&report.query, options, FileFormat::Csv).await;
        let read = match &export {
            Ok(export) => &export.content_columns[..],
            Err(error) => error.content_columns(),
        };
        self.note_read(report, read).await?;
        // The text of an error may show content, and it is kept.
        let told = |error: &kql::QueryError| match error.content_columns().is_empty() {
            true => error.message().to_owned(),
            false => "its query failed amid what it may read: try it by hand".to_owned(),
        };
        let mut export = export.map_err(|error| told(&error))?;
        let mut csv = Vec::new();
        while let Some(piece) = export.pieces.next().await {
            csv.extend_from_slice(&piece.map_err(|error| told(&error))?);
        }
        Ok(csv)
    }

    async fn deliver(
        &self,
        settings: &Settings,
        report: &ReportConfig,
        schedule: &Schedule,
        (period, made): (Period, &Made),
        place: &str,
    ) -> Result<(), String> {
        if place == FOLDER {
            let file = report.folder.join(&made.name);
            let content = made.content.clone();
            let shown = file.display().to_string();
            let put = tokio::task::spawn_blocking(move || replace(&file, &content)).await;
            let put = put.map_err(|error| error.to_string())?;
            return put.map_err(|error| format!("cannot write {shown}: {error}"));
        }
        let Some(mailer) = &settings.mailer else {
            return Err("there is no mail server: give one under `mail`".into());
        };
        let (start, end) = schedule.bounds(period);
        let subject = format!("{}: {}", report.title(), schedule.name(period));
        let text = format!(
            "{subject}\r\n\r\nFrom {} to {}: {}, attached.\r\nAsked by Gatehouse as {}.\r\n",
            iso(start),
            iso(end),
            made.size(),
            report.identity()
        );
        let kind = match report.format {
            ReportFormat::Csv => "text/csv",
            ReportFormat::Html => "text/html",
        };
        let file = Some((made.name.clone(), kind, made.content.clone()));
        mailer.send(&report.to, &subject, text, file).await.map_err(|failure| failure.why)
    }

    /// It was given the right to read content, and says what for.
    fn reads_content(&self, report: &ReportConfig) -> bool {
        !report.purpose.trim().is_empty() && (self.parts.may_read_content)(&report.identity())
    }

    async fn note_read(&self, report: &ReportConfig, columns: &[String]) -> Result<(), String> {
        if columns.is_empty() {
            return Ok(());
        }
        let now = (self.parts.now)();
        let note = ContentRead {
            time_generated: now,
            principal_id: report.identity(),
            principal_name: report.title().to_owned(),
            principal_kind: "system".into(),
            via: "schedule".into(),
            purpose: report.purpose.trim().to_owned(),
            query: report.query.clone(),
            columns: Json(json!(columns).to_string()),
            ..ContentRead::default()
        };
        self.append(Note::ContentRead(note), now).await
    }

    async fn note_failure(&self, report: &ReportConfig, why: &str, now: Timestamp) {
        tracing::warn!(report = report.id, why, "a report was not delivered");
        if let Err(error) = self.note(report, "failed", why, now).await {
            tracing::warn!(error, "the failure of a report is not on record");
        }
    }

    /// Puts a run on record.
    async fn note(
        &self,
        report: &ReportConfig,
        outcome: &str,
        message: &str,
        now: Timestamp,
    ) -> Result<(), String> {
        let roles = if self.reads_content(report) { "[\"content_reader\"]" } else { "[]" };
        let row = AdminAction {
            time_generated: now,
            operation_name: "reports/run".into(),
            target_kind: "report".into(),
            target_id: report.id.clone(),
            outcome: outcome.into(),
            principal_id: report.identity(),
            principal_name: report.title().to_owned(),
            principal_kind: "system".into(),
            roles: Json(roles.into()),
            via: "schedule".into(),
            before: Json("null".into()),
            after: Json("null".into()),
            message: message.to_owned(),
            ..AdminAction::default()
        };
        self.append(Note::AdminAction(row), now).await
    }

    async fn append(&self, note: Note, now: Timestamp) -> Result<(), String> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let frame = Record::Note(Box::new(note)).encode(InteractionId::mint(now, random));
        let kept = match self.parts.ledger.append(vec![frame]).await {
            Ok(commit) => commit.durable().await,
            Err(error) => Err(error),
        };
        kept.map(drop).map_err(|error| format!("the ledger takes no record of it: {error}"))
    }

    async fn keep(&self, agenda: &Agenda) {
        self.kept.keep(serde_json::to_string(agenda).expect("keys are strings")).await;
    }
}

/// Places that reports go to.
const MAIL: &str = "mail";
const FOLDER: &str = "folder";

fn places_of(report: &ReportConfig) -> impl Iterator<Item = &'static str> {
    let folder = (!report.folder.as_os_str().is_empty()).then_some(FOLDER);
    folder.into_iter().chain((!report.to.is_empty()).then_some(MAIL))
}

fn ticks(at: Timestamp) -> i64 {
    UNIX_EPOCH_TICKS + at.unix_micros().saturating_mul(TICKS_PER_SECOND / 1_000_000)
}
