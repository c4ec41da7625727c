//! What a serving process gives up for good, before it does anything else: being looked into by others,
//! and, if it is told so, the paths that it does not need.
//!
//! Not here: seccomp and the network. Where the gateway dials is the business of `net`.

use std::path::{Path, PathBuf};

use crate::config::Config;

/// Folders of the system that are read: certificates, names of hosts, time zones, libraries, the kernel's
/// own accounts.
#[cfg(target_os = "linux")]
const SYSTEM: [&str; 7] = ["/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/dev"];
/// Where name resolution and mounted secrets lie.
#[cfg(target_os = "linux")]
const RUN: [&str; 3] = ["/run/systemd/resolve", "/run/secrets", "/run/credentials"];

/// No core dump holds this process's memory, and nobody but root reads it, or its environment, through
/// `/proc` or a debugger: not even programs of the same user.
#[cfg(target_os = "linux")]
pub(crate) fn keep_memory_private() {
    use nix::sys::{prctl, resource};
    let done = resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0)
        .and_then(|()| prctl::set_dumpable(false));
    if let Err(error) = done {
        tracing::warn!(%error, "programs of the same user can read the memory of this process");
    }
}

/// Elsewhere the operating system decides who may look.
#[cfg(not(target_os = "linux"))]
pub(crate) fn keep_memory_private() {}

/// Gives up all paths but those that the configuration of `file` needs. It holds for threads that begin
/// after it, so it comes before the runtime.
#[cfg(target_os = "linux")]
pub(crate) fn lock_down(config: &Config, file: &Path) -> anyhow::Result<()> {
    use anyhow::Context;
    use landlock::{
        ABI, Access, AccessFs, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
        path_beneath_rules,
    };
    if !config.process.lock_down {
        return Ok(());
    }
    std::fs::create_dir_all(&config.data_dir).with_context(|| {
        format!("cannot make {}: choose a writable `data_dir`", config.data_dir.display())
    })?;
    let abi = ABI::V5;
    let read = AccessFs::from_read(abi) & !BitFlags::from(AccessFs::Execute);
    // Libraries that the system's name resolution loads are mapped as programs are.
    let load = AccessFs::from_read(abi);
    let keep = AccessFs::from_all(abi) & !BitFlags::from(AccessFs::Execute);
    let device = AccessFs::from_file(abi) & !BitFlags::from(AccessFs::Execute);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(["/usr/lib", "/lib", "/lib64"], load))?
        .add_rules(path_beneath_rules(SYSTEM.into_iter().chain(RUN), read))?
        .add_rules(path_beneath_rules(readable(config, file), read))?
        .add_rules(path_beneath_rules(["/dev/null"], device))?
        .add_rules(path_beneath_rules(written(config), keep))?
        .restrict_self()
        .context("process.lock_down: the kernel refuses it")?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => tracing::info!("locked down: other paths are out of reach"),
        RulesetStatus::PartiallyEnforced => {
            tracing::warn!(
                "locked down as far as this kernel can: an older landlock lacks some rights"
            );
        }
        RulesetStatus::NotEnforced => {
            tracing::warn!("not locked down: this kernel has no landlock, or it is switched off");
        }
    }
    Ok(())
}

/// Other systems have no landlock.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lock_down(config: &Config, _: &Path) -> anyhow::Result<()> {
    if config.process.lock_down {
        tracing::warn!("not locked down: only Linux has landlock");
    }
    Ok(())
}

/// What is written to: the data folder, and the folders of reports.
#[cfg(target_os = "linux")]
fn written(config: &Config) -> Vec<&Path> {
    let reports = config.reports.iter().map(|report| report.folder.as_path());
    let reports = reports.filter(|folder| !folder.as_os_str().is_empty());
    reports.chain([config.data_dir.as_path()]).collect()
}

/// What the configuration reads: the folders of its files, since files are replaced whole.
#[cfg(target_os = "linux")]
fn readable(config: &Config, file: &Path) -> Vec<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut readable: Vec<_> = config.all_files().iter().map(|path| folder(path)).collect();
    readable.push(folder(file));
    readable.extend(config.process.readable.iter().cloned());
    readable
}
