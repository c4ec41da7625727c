//! Periods over clocks that jump; reports over restarts and places that are down; what is delivered.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use event::{Note, Record, Timestamp};
use kql::{Access, Catalogue, Content, Export, FileFormat, Frame, Options, QueryError};
use ledger::{Ledger, LedgerConfig};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::agenda::{ATTEMPTS_MAX, Agenda, CATCH_UP_MAX, Fate};
use super::config::{ReportConfig, validate_reports};
use super::page::html;
use super::reporter::{Reporter, ReporterParts};
use super::schedule::{Every, ReportFormat, Schedule, Weekday};
use crate::alerts::tests::mail;

fn at(text: &str) -> Timestamp {
    let at: chrono::DateTime<chrono::Utc> = text.parse().expect("an instant");
    Timestamp::from_unix_micros(at.timestamp_micros())
}

fn schedule(every: Every, hour: u8, zone: &str) -> Schedule {
    Schedule::new(every, Weekday::Monday, hour, zone).expect("a schedule")
}

#[test]
fn periods_are_whole_days_of_the_zone_over_changes_of_the_clock() {
    let berlin = |every, hour| schedule(every, hour, "Europe/Berlin");
    for (schedule, now, name, bounds) in [
        // Not yet six o'clock there.
        (
            berlin(Every::Day, 6),
            "2026-11-28T04:59:59Z",
            "2026-11-26",
            ("2026-11-25T23:00:00Z", "2026-11-26T23:00:00Z"),
        ),
        (
            berlin(Every::Day, 6),
            "2026-11-28T05:00:00Z",
            "2026-11-27",
            ("2026-11-26T23:00:00Z", "2026-11-27T23:00:00Z"),
        ),
        // A day of 23 hours, and two o'clock, which the next day skips, is three.
        (
            berlin(Every::Day, 2),
            "2026-03-29T00:59:59Z",
            "2026-03-27",
            ("2026-03-26T23:00:00Z", "2026-03-27T23:00:00Z"),
        ),
        (
            berlin(Every::Day, 2),
            "2026-03-29T01:00:00Z",
            "2026-03-28",
            ("2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z"),
        ),
        (
            berlin(Every::Day, 0),
            "2026-03-29T22:00:00Z",
            "2026-03-29",
            ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ),
        (
            berlin(Every::Week, 6),
            "2026-11-28T12:00:00Z",
            "2026-11-16_2026-11-22",
            ("2026-11-15T23:00:00Z", "2026-11-22T23:00:00Z"),
        ),
        (
            berlin(Every::Month, 6),
            "2026-11-01T04:59:00Z",
            "2026-09",
            ("2026-08-31T22:00:00Z", "2026-09-30T22:00:00Z"),
        ),
        (
            berlin(Every::Month, 6),
            "2026-11-01T05:00:00Z",
            "2026-10",
            ("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
        ),
        (
            schedule(Every::Month, 0, "UTC"),
            "2028-03-01T00:00:00Z",
            "2028-02",
            ("2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ),
        // A day that a zone skipped: 30 December 2011 in Samoa.
        (
            schedule(Every::Day, 6, "Pacific/Apia"),
            "2011-12-30T16:00:00Z",
            "2011-12-30",
            ("2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"),
        ),
    ] {
        let period = schedule.last_due(at(now));
        assert_eq!(schedule.name(period), name, "at {now}");
        assert_eq!(schedule.bounds(period), (at(bounds.0), at(bounds.1)), "at {now}");
        assert!(schedule.made_at(period) <= at(now), "at {now}");
        assert_eq!(schedule.after(period.end).start, period.end, "none is left out");
    }
}

#[test]
fn weeks_begin_with_the_day_that_is_said() {
    let sunday = Schedule::new(Every::Week, Weekday::Sunday, 0, "UTC").expect("a schedule");
    let period = sunday.last_due(at("2026-11-28T12:00:00Z"));
    assert_eq!(sunday.name(period), "2026-11-15_2026-11-21");
}

#[test]
fn a_report_that_contradicts_itself_is_refused_with_its_fix() {
    let right = ReportConfig {
        id: "usage".into(),
        query: "Interactions | count".into(),
        to: vec!["Finance <finance@example.org>".into()],
        ..ReportConfig::default()
    };
    validate_reports(std::slice::from_ref(&right)).expect("it is right");
    let wrong = |change: &dyn Fn(&mut ReportConfig)| {
        let mut report = right.clone();
        change(&mut report);
        validate_reports(&[report]).expect_err("refused")
    };
    assert!(wrong(&|report| report.id = "../x".into()).contains("letters, digits"));
    assert!(wrong(&|report| report.query = " ".into()).contains("`query`"));
    assert!(wrong(&|report| report.to.clear()).contains("goes nowhere"));
    assert!(wrong(&|report| report.to = vec!["nobody".into()]).contains("no mail address"));
    assert!(wrong(&|report| report.hour = 24).contains("0 to 23"));
    assert!(wrong(&|report| report.time_zone = "Berlin".into()).contains("Europe/Berlin"));
    assert!(validate_reports(&[right.clone(), right]).expect_err("twice").contains("rename one"));
}

/// Restarts lose what was not kept, the place is down for a while, and nobody looks for days: every period
/// is delivered, in order, and once unless a crash came between delivery and keeping.
#[test]
fn no_period_is_missed_over_restarts_pauses_and_places_that_are_down() {
    for seed in 0..50 {
        let mut random = StdRng::seed_from_u64(seed);
        let schedule = schedule(Every::Day, 6, "America/New_York");
        let mut agenda = Agenda::default();
        let mut kept = serde_json::to_string(&agenda).unwrap();
        let mut now_s = 1_790_000_000;
        let clock = |now_s: i64| Timestamp::from_unix_micros(now_s * 1_000_000);
        agenda.due("daily", &schedule, clock(now_s));
        let first = schedule.last_due(clock(now_s)).end;
        let (mut arrived, mut crashes) = (Vec::new(), 0);
        let mut down_until_s = 0;
        for _ in 0..2_000 {
            now_s += random.random_range(60..7_200);
            if random.random_ratio(1, 200) {
                now_s += random.random_range(0..5 * 86_400);
            }
            if random.random_ratio(1, 100) {
                down_until_s = now_s + random.random_range(0..86_400);
            }
            let (due, given_up) = agenda.due("daily", &schedule, clock(now_s));
            assert_eq!(given_up, 0);
            let Some((period, _)) = due else { continue };
            let named = (period, schedule.name(period));
            if now_s < down_until_s {
                let fate = agenda.failed("daily", named, (Vec::new(), "down"), clock(now_s));
                assert_ne!(fate, Fate::GivenUp, "it was down for a day at most");
            } else {
                arrived.push(period.end);
                agenda.delivered("daily", named, clock(now_s));
            }
            if random.random_ratio(1, 20) {
                crashes += 1;
                agenda = Agenda::parse(&kept).unwrap();
            }
            kept = serde_json::to_string(&agenda).unwrap();
        }
        let repeated = arrived.windows(2).filter(|pair| pair[0] >= pair[1]).count();
        assert!(repeated <= crashes, "{repeated} came again for {crashes} crashes");
        arrived.sort();
        arrived.dedup();
        assert!(arrived.len() > 50, "only {} arrived", arrived.len());
        assert_eq!(arrived[0], schedule.after(first).end);
        for pair in arrived.windows(2) {
            assert_eq!(schedule.after(pair[0]).end, pair[1], "seed {seed}: one is missing");
        }
    }
}

#[test]
fn what_is_too_old_or_fails_for_too_long_is_given_up_and_the_next_one_is_made() {
    let (schedule, mut agenda) = (schedule(Every::Day, 6, "UTC"), Agenda::default());
    agenda.due("daily", &schedule, at("2026-01-01T07:00:00Z"));
    let (due, given_up) = agenda.due("daily", &schedule, at("2026-03-31T07:00:00Z"));
    assert_eq!(given_up, 89 - CATCH_UP_MAX);
    let (period, _) = due.expect("one is due");
    let named = |period| (period, schedule.name(period));
    let fail = |agenda: &mut Agenda, period, now| {
        agenda.failed("daily", named(period), (vec!["folder".into()], "down"), at(now))
    };
    assert_eq!(fail(&mut agenda, period, "2026-03-31T07:00:00Z"), Fate::Retry);
    let soon = agenda.due("daily", &schedule, at("2026-03-31T07:00:30Z"));
    assert_eq!(soon, (None, 0), "it waits before it is tried again");
    let (again, _) = agenda.due("daily", &schedule, at("2026-03-31T07:01:00Z"));
    assert_eq!(again, Some((period, vec!["folder".to_owned()])), "where it has arrived is known");
    assert_eq!(fail(&mut agenda, period, "2026-03-31T07:01:00Z"), Fate::RetryAgain);
    for _ in 3..ATTEMPTS_MAX {
        assert_eq!(fail(&mut agenda, period, "2026-04-03T07:01:00Z"), Fate::RetryAgain);
    }
    assert_eq!(fail(&mut agenda, period, "2026-04-03T07:01:00Z"), Fate::GivenUp);
    let (next, _) = agenda.due("daily", &schedule, at("2026-04-03T07:01:00Z"));
    assert!(next.expect("the next").0.end > period.end);
    Agenda::parse("{\"version\":2}").expect_err("a newer version");
    let first = include_str!("../../testdata/reports_v1.json");
    let kept = Agenda::parse(first.trim()).expect("the first version opens");
    assert_eq!(serde_json::to_string(&kept).unwrap(), first.trim());
}

#[test]
fn a_page_shows_hostile_text_as_text() {
    let csv = "Name,Calls\r\n\"<script>alert(1)</script>&\"\"'\u{202e}x\",12\r\n";
    let page = String::from_utf8(html("A <b>", "all", csv.as_bytes()).unwrap()).unwrap();
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;\\u{202e}x"),
        "{page}"
    );
    assert!(
        page.contains("<h1>A &lt;b&gt;</h1>") && page.contains("<td class=\"number\">12"),
        "{page}"
    );
    assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
}

/// Answers every query with who asks and what it may see.
pub(crate) struct Echo;

#[async_trait]
impl kql::Engine for Echo {
    async fn run(&self, _: &str, _: &Options) -> Result<Frame, QueryError> {
        unreachable!("reports are exported")
    }

    async fn export(
        &self,
        query: &str,
        options: &Options,
        _: FileFormat,
    ) -> Result<Export, QueryError> {
        let (start, end) = options.time_range.expect("a range");
        let can_read = options.access.content == Content::Readable;
        let principal = options.principal.clone().unwrap_or_default();
        let days = (end - start) / (86_400 * kql::TICKS_PER_SECOND);
        let text = format!("Who,Days,Query\r\n{principal},{days},{query}\r\n");
        let content_columns = if can_read { vec!["Messages.Content".into()] } else { Vec::new() };
        Ok(Export { content_columns, pieces: Box::new(Whole(Some(text))) })
    }

    fn catalogue(&self, _: &Access) -> Arc<dyn Catalogue> {
        unreachable!("reports need none")
    }
}

struct Whole(Option<String>);

#[async_trait]
impl kql::Pieces for Whole {
    async fn next(&mut self) -> Option<Result<Vec<u8>, QueryError>> {
        self.0.take().map(|text| Ok(text.into_bytes()))
    }
}

fn reporter(folder: &Path, ledger: &Ledger, report: &ReportConfig, port: u16) -> Reporter {
    let parts = ReporterParts {
        engine: Arc::new(Echo),
        ledger: ledger.clone(),
        complete_until: Box::new(Some),
        may_read_content: Box::new(|identity| identity == "report:granted"),
        state_file: folder.join("reports.json"),
        store: None,
        now: || at("2026-11-28T12:00:00Z"),
    };
    let mailer = (port != 0).then(|| Arc::new(mail::mailer(port)));
    Reporter::open(parts, vec![report.clone()], mailer).expect("opens")
}

fn open_ledger(folder: &Path) -> Ledger {
    let config = LedgerConfig { segment_bytes: 1 << 20, ..LedgerConfig::default() };
    Ledger::open(&folder.join("ledger"), config, || at("2026-11-28T12:00:00Z")).expect("opens").0
}

/// What is on record: operation or purpose, who, outcome or columns, message.
fn on_record(ledger: &Ledger) -> Vec<[String; 3]> {
    let mut reader = ledger.reader(0).expect("readable");
    let mut notes = Vec::new();
    while let Some(entry) = reader.next(std::time::Duration::ZERO).expect("readable") {
        let Ok(Record::Note(note)) = Record::decode(entry.frame.kind, &entry.frame.payload) else {
            continue;
        };
        match *note {
            Note::AdminAction(row) => notes.push([row.outcome, row.principal_id, row.message]),
            Note::ContentRead(row) => notes.push([row.purpose, row.principal_id, row.columns.0]),
            _ => {}
        }
    }
    notes
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_tried_again_and_the_mail_goes_once() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open_ledger(folder.path());
    let (port, heard) = mail::server().await;
    let out = folder.path().join("out");
    let report = ReportConfig {
        id: "usage".into(),
        query: "Interactions".into(),
        to: vec!["ann@example.org".into()],
        folder: out.clone(),
        every: Every::Week,
        ..ReportConfig::default()
    };
    let reporter = reporter(folder.path(), &ledger, &report, port);
    reporter.work(at("2026-11-24T12:00:00Z")).await;
    assert!(on_record(&ledger).is_empty(), "a new report begins with the period that goes on");
    reporter.work(at("2026-11-30T06:00:00Z")).await;
    reporter.work(at("2026-11-30T06:02:00Z")).await;
    let status = &reporter.reports().await[0];
    assert!(status.failure.contains("folder: cannot write"), "{status:?}");
    std::fs::create_dir(&out).unwrap();
    drop(reporter);
    let reporter = self::reporter(folder.path(), &ledger, &report, port);
    reporter.work(at("2026-11-30T06:10:00Z")).await;
    reporter.work(at("2026-11-30T06:20:00Z")).await;
    let csv = std::fs::read_to_string(out.join("usage-2026-11-23_2026-11-29.csv")).unwrap();
    assert_eq!(csv, "Who,Days,Query\r\nreport:usage,7,Interactions\r\n");
    let heard = heard.lock().await.join("\n");
    assert_eq!(heard.matches("filename=\"usage-2026-11-23_2026-11-29.csv\"").count(), 1, "{heard}");
    let notes = on_record(&ledger);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0][2].ends_with("it is tried again"), "{notes:?}");
    assert_eq!(
        notes[1],
        ["succeeded", "report:usage", "2026-11-23_2026-11-29: 1 row to mail and folder"]
    );
    assert_eq!(reporter.reports().await[0].next_at, "2026-12-07T06:00:00.0000000Z");
}

#[tokio::test]
async fn content_is_read_with_the_right_and_a_purpose_only_and_that_is_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open_ledger(folder.path());
    for (id, purpose, reads) in
        [("granted", "review", true), ("granted", " ", false), ("other", "review", false)]
    {
        let before = on_record(&ledger).len();
        let report = ReportConfig {
            id: id.into(),
            query: "Messages".into(),
            folder: folder.path().to_owned(),
            purpose: purpose.into(),
            format: ReportFormat::Html,
            ..ReportConfig::default()
        };
        let made = reporter(folder.path(), &ledger, &report, 0).make_now(id).await.expect("made");
        assert_eq!(made["places"]["folder"], "delivered");
        let notes = on_record(&ledger).split_off(before);
        let expected = [["review", "report:granted", "[\"Messages.Content\"]"].map(String::from)];
        assert_eq!(notes, if reads { &expected[..] } else { &[] });
        assert!(folder.path().join(format!("{id}-2026-11-27.html")).exists());
    }
}
