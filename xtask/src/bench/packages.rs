//! Programs from PyPI, npm and crates.io that are measured beside ours, each installed once into a folder outside of the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::shell;

/// A Python with this package, such as `duckdb==2.0.1`; its scripts lie beside it.
pub(crate) fn python(folder: &Path, package: &str) -> anyhow::Result<PathBuf> {
    if !shell::exists("python3") {
        bail!("`python3` is not installed");
    }
    let environment = folder.join(package.replace("==", "-"));
    let python = environment.join("bin/python");
    let ready = environment.join("ready");
    if !ready.exists() {
        shell::run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
        shell::run(Command::new(&python).args(install))?;
        fs::write(&ready, "")?;
    }
    Ok(python)
}

/// The folder of this npm package, such as `@portkey-ai/gateway@1.15.2`.
pub(crate) fn node(folder: &Path, package: &str) -> anyhow::Result<PathBuf> {
    if !shell::exists("npm") {
        bail!("`npm` is not installed");
    }
    let place = folder.join(package.replace(['/', '@'], "-"));
    let ready = place.join("ready");
    if !ready.exists() {
        fs::create_dir_all(&place)?;
        let install = ["install", "--silent", "--no-audit", "--no-fund", "--prefix"];
        shell::run(Command::new("npm").args(install).arg(&place).arg(package))?;
        fs::write(&ready, "")?;
    }
    let (name, _) = package.rsplit_once('@').unwrap_or((package, ""));
    Ok(place.join("node_modules").join(name))
}

/// The program of this crate, such as `noveum-ai-gateway@2.0.1`, built as it is released.
pub(crate) fn rust(folder: &Path, package: &str) -> anyhow::Result<PathBuf> {
    let place = folder.join(package);
    let (name, _) = package.rsplit_once('@').unwrap_or((package, ""));
    let program = place.join("bin").join(name);
    if !program.exists() {
        shell::say(&format!("{package} is built, which takes some minutes"));
        let install = ["install", "--locked", "--quiet", "--root"];
        shell::run(shell::cargo(&install).arg(&place).arg(package))?;
    }
    Ok(program)
}
