//! `gatehouse audit verify`: prove the record, offline.

use std::path::Path;

use ledger::Span;

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
