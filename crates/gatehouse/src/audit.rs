//! `gatehouse audit verify`: prove the record, offline.

use std::path::Path;

use event::Timestamp;
use ledger::{Place, Span};

use crate::arguments::VerifyArguments;
use crate::config::Config;
use crate::exit::{Exit, ExitWith};
use crate::terminal::print;
use indicatif::{ProgressBar, ProgressStyle};

/// Runs the command.
pub(crate) fn verify(arguments: &VerifyArguments) -> anyhow::Result<()> {
    let folder = match &arguments.ledger_dir {
        Some(folder) => folder.clone(),
        None => Config::load(&arguments.file.config)?.ledger_dir(),
    };
    let span = Span { from: arguments.from, to: arguments.to };
    let report = walk(&folder, &span)?;
    print(&if arguments.json {
        format!("{}\n", as_json(&report)?)
    } else {
        as_text(&folder, &report)
    });
    if report.is_clean() {
        return Ok(());
    }
    let message =
        "the record is damaged or incomplete: keep the folder as it is, and compare with a backup";
    Err(ExitWith::error(Exit::CheckFailed, message))
}

/// A place in the ledger, as a person writes it.
pub(crate) fn place(text: &str) -> Result<Place, String> {
    if let Ok(sequence) = text.parse() {
        return Ok(Place::Sequence(sequence));
    }
    let day = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let at = text.parse::<jiff::Timestamp>().ok().or_else(day);
    let at = at.ok_or_else(|| {
        format!("`{text}` is neither a sequence nor a time such as 2026-11-01T12:00:00Z")
    })?;
    Ok(Place::Time(Timestamp::from_unix_micros(at.as_microsecond())))
}

/// Walks the ledger with a progress bar on standard error, if that is a terminal.
pub(crate) fn walk(folder: &Path, span: &Span) -> anyhow::Result<ledger::Report> {
    let bar = ProgressBar::new(0);
    let style = "{bar:40} {pos} of {len} segments, {elapsed}";
    bar.set_style(ProgressStyle::with_template(style)?);
    let report = ledger::verify_span(folder, span, |progress| {
        bar.set_length(progress.segments);
        bar.set_position(progress.segments_done);
    });
    bar.finish_and_clear();
    report.map_err(|error| {
        ExitWith::error(Exit::CheckFailed, format!("{}: {error}", folder.display()))
    })
}

/// The report for programs.
pub(crate) fn as_json(report: &ledger::Report) -> anyhow::Result<serde_json::Value> {
    let mut json = serde_json::to_value(report)?;
    json["is_clean"] = report.is_clean().into();
    Ok(json)
}

/// The report for people.
pub(crate) fn as_text(folder: &Path, report: &ledger::Report) -> String {
    let mut text = format!(
        "ledger        {}\nsegments      {}\ncommits       {}\nframes        {} (sequence {} to {})\n\
         interactions  {} opened, {} closed, {} in flight, {} refused\nerased        {} payloads\n\
         last digest   {}\n",
        folder.display(),
        report.segments,
        report.commits,
        report.frames,
        report.first_sequence,
        report.last_sequence,
        report.opened,
        report.closed,
        report.open,
        report.refused,
        report.erased,
        hexadecimal(&report.last_digest),
    );
    if report.is_part {
        text.push_str("part          only the segments that hold what was asked for\n");
    }
    for finding in &report.findings {
        let (file, offset) = (finding.file.display(), finding.offset);
        text.push_str(&format!("FOUND         {} ({file}, byte {offset})\n", finding.text));
    }
    let more = report.findings_total - report.findings.len() as u64;
    if more > 0 {
        text.push_str(&format!("FOUND         {more} more\n"));
    }
    let verdict = if report.is_clean() {
        "clean: no gap, no changed byte, every interaction has exactly one end"
    } else {
        "NOT CLEAN"
    };
    text.push_str(&format!("verdict       {verdict}\n"));
    text
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_sequence_or_a_time() {
        assert_eq!(place("17"), Ok(Place::Sequence(17)));
        let midnight = Place::Time(Timestamp::from_unix_micros(1_793_491_200_000_000));
        assert_eq!(place("2026-11-01"), Ok(midnight));
        assert_eq!(place("2026-11-01T01:00:00+01:00"), Ok(midnight));
        place("yesterday").expect_err("no time");
    }
}
