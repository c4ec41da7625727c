//! `gatehouse audit`: prove the record, offline, and the keys that sign it; erase what it says.

mod erase;

use std::path::{Path, PathBuf};

use anyhow::Context;
use ledger::{Checkpoint, Place, PublicKey, SigningKey, Span, Trust};

use crate::arguments::{AuditCommand, VerifyArguments};
use crate::config::Config;
use crate::exit::{Exit, ExitWith};
use crate::terminal::print;
use indicatif::{ProgressBar, ProgressStyle};

/// Runs the command.
pub(crate) fn run(command: &AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Verify(arguments) => verify(arguments),
        AuditCommand::Erase(arguments) => erase::run(arguments),
        AuditCommand::PublicKey(file) => {
            let key = Config::load_whole(&file.config)?.signing_key()?;
            print(&key.public_key().to_pem());
            Ok(())
        }
        AuditCommand::Key => {
            print(&SigningKey::generate()?.to_pem()?);
            Ok(())
        }
    }
}

fn verify(arguments: &VerifyArguments) -> anyhow::Result<()> {
    let folder = match &arguments.ledger_dir {
        Some(folder) => folder.clone(),
        None => Config::load(&arguments.file.config)?.ledger_dir(),
    };
    let span = Span { from: arguments.from, to: arguments.to };
    if span.is_backwards() {
        let text = "--from lies behind --to: give them the other way round";
        return Err(ExitWith::error(Exit::Failed, text));
    }
    let report = walk(&folder, &span, &trust(arguments)?)?;
    if let Some(Place::Sequence(from)) = span.from.filter(|_| report.findings_total == 0)
        && from > report.last_sequence
    {
        let last = report.last_sequence;
        let text = format!("nothing was walked: --from is {from}, and {last} is the last sequence");
        return Err(ExitWith::error(Exit::CheckFailed, text));
    }
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

/// What is known from elsewhere.
fn trust(arguments: &VerifyArguments) -> anyhow::Result<Trust> {
    let keys: Vec<PublicKey> = read(&arguments.public_key, PublicKey::from_pem)?;
    let checkpoints = read(&arguments.checkpoint, |note| Checkpoint::from_note(note, &keys))?;
    Ok(Trust { keys, checkpoints })
}

fn read<T>(
    files: &[PathBuf],
    parse: impl Fn(&str) -> Result<T, ledger::Error>,
) -> anyhow::Result<Vec<T>> {
    let one = |file: &PathBuf| {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| {
            let fix = "name the file that was kept";
            format!("cannot read {}: {fix}", file.display())
        })?;
        parse(&text)
            .map_err(|error| ExitWith::error(Exit::Failed, format!("{}: {error}", file.display())))
    };
    files.iter().map(one).collect()
}

/// A folder without a ledger is more often the wrong one than a lost record.
fn check_folder(folder: &Path) -> anyhow::Result<()> {
    let wrong = |what: String| {
        let fix = "give the folder `ledger` of a gateway's data folder by --ledger-dir, or the \
                   gateway's configuration by --config";
        ExitWith::error(Exit::CheckFailed, format!("{} {what}: {fix}", folder.display()))
    };
    let entries =
        std::fs::read_dir(folder).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let is_of_ledger = |name: &std::ffi::OsStr| {
        name == "head" || Path::new(name).extension().is_some_and(|kind| kind == "segment")
    };
    match entries.flatten().any(|entry| is_of_ledger(&entry.file_name())) {
        true => Ok(()),
        false => Err(wrong("holds no ledger".to_owned())),
    }
}

/// Walks the ledger with a progress bar on standard error, if that is a terminal.
pub(crate) fn walk(folder: &Path, span: &Span, trust: &Trust) -> anyhow::Result<ledger::Report> {
    check_folder(folder)?;
    let bar = ProgressBar::new(0);
    let style = "{bar:40} {pos} of {len} segments, {elapsed}";
    bar.set_style(ProgressStyle::with_template(style)?);
    let report = ledger::verify_span(folder, span, trust, |progress| {
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
         interactions  {} opened, {} closed, {} in flight, {} refused\nerased        {} payloads; {} interactions ordered\n\
         last digest   {}\nsigned        {}\n",
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
        report.erasures_ordered,
        hexadecimal(&report.last_digest),
        signed(report),
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

fn signed(report: &ledger::Report) -> String {
    if report.checkpoints == 0 {
        return "not yet".into();
    }
    let (last, checkpoints) = (report.signed_sequence, report.checkpoints);
    let by = report.signed_by.join(", ");
    format!("up to sequence {last} (checkpoints: {checkpoints}), by {by}")
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
