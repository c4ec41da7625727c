//! The portal's built files: made from the sources beside them, and small enough.
//!
//! Needs no Node: `web/dist` holds the hash of its sources, computed as `web/scripts/sources.mjs`
//! does, and a brotli file beside each file. Where npm is, `rebuild` builds anew and compares.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::shell;

const FILES: [&str; 5] =
    ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];
const FOLDERS: [&str; 3] = ["public", "scripts", "src"];

/// What a browser loads before the first screen is complete, in bytes of brotli.
const FIRST_ROUTE_MAX: u64 = 60_000;
/// What the screen with the editor adds to that.
const EDITOR_MAX: u64 = 130_000;
/// Everything.
const WHOLE_MAX: u64 = 350_000;

/// Checks the built files; what is wrong is added to `findings`.
pub(crate) fn check(findings: &mut Vec<String>) -> anyhow::Result<()> {
    let web = shell::root().join("web");
    let kept = fs::read_to_string(web.join("dist/sources.sha256"))
        .context("web/dist is not built: run `npm install && npm run build` in web")?;
    if kept.trim() != hash_of_sources(&web)? {
        findings.push(
            "web/dist was built from other sources: run `npm install && npm run build` in web, and commit it"
                .to_owned(),
        );
    }
    let sizes = Sizes::read(&web.join("dist"))?;
    for (what, size, most) in [
        ("the first route", sizes.first_route, FIRST_ROUTE_MAX),
        ("what the editor adds", sizes.editor, EDITOR_MAX),
        ("the whole portal", sizes.whole, WHOLE_MAX),
    ] {
        if size > most {
            findings
                .push(format!("web/dist: {what} is {size} bytes of brotli, {most} are allowed"));
        }
    }
    shell::say(&format!(
        "portal: first route {} bytes, editor +{}, whole {}, in brotli",
        sizes.first_route, sizes.editor, sizes.whole
    ));
    Ok(())
}

/// Builds the portal anew in a folder of its own and compares; says so where npm is missing.
pub(crate) fn rebuild() -> anyhow::Result<()> {
    if !shell::exists("npm") {
        shell::say("portal: building it anew is skipped, `npm` is not installed");
        return Ok(());
    }
    let web = shell::root().join("web");
    let built = shell::target_folder().join("portal");
    if !web.join("node_modules").is_dir() {
        // Not `npm ci`: it refuses the lock, as an optional part of Vite is in no registry.
        shell::run(
            Command::new("npm").args(["install", "--no-save", "--silent"]).current_dir(&web),
        )?;
    }
    shell::run(Command::new("npm").args(["run", "--silent", "check"]).current_dir(&web))?;
    let arguments = ["vite", "build", "--logLevel", "error", "--emptyOutDir", "--outDir"];
    shell::run(Command::new("npx").args(arguments).arg(&built).current_dir(&web))?;
    for file in files(&built)? {
        let name = file.strip_prefix(&built)?;
        let is_same = fs::read(&file)? == fs::read(web.join("dist").join(name)).unwrap_or_default();
        ensure!(
            is_same,
            "web/dist/{} is not what its sources give: build it again",
            name.display()
        );
    }
    Ok(())
}

/// SHA-256 over each source's path, size and bytes.
fn hash_of_sources(web: &Path) -> anyhow::Result<String> {
    let mut sources: Vec<PathBuf> = FILES.iter().map(|file| web.join(file)).collect();
    for folder in FOLDERS {
        sources.extend(files(&web.join(folder))?);
    }
    let mut named: Vec<(String, PathBuf)> = sources
        .into_iter()
        .map(|file| Ok((file.strip_prefix(web)?.display().to_string(), file)))
        .collect::<anyhow::Result<_>>()?;
    named.sort();
    let mut hash = Sha256::new();
    for (name, file) in named {
        let bytes = fs::read(&file).with_context(|| format!("no file web/{name}"))?;
        hash.update(format!("{name}\n{}\n", bytes.len()));
        hash.update(&bytes);
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text grows");
        text
    }))
}

/// Every file below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes of brotli.
struct Sizes {
    first_route: u64,
    editor: u64,
    whole: u64,
}

impl Sizes {
    fn read(dist: &Path) -> anyhow::Result<Self> {
        let manifest: Value = serde_json::from_slice(&fs::read(dist.join("manifest.json"))?)?;
        let mut first = BTreeSet::new();
        for entry in ["index.html", "src/screens/overview.tsx"] {
            collect(&manifest, entry, &mut first)?;
        }
        let mut editor = BTreeSet::new();
        collect(&manifest, "src/screens/logs.tsx", &mut editor)?;
        let page = fs::metadata(dist.join("index.html"))?.len();
        let added =
            editor.difference(&first).map(|file| size(dist, file)).sum::<anyhow::Result<_>>()?;
        let first: u64 = first.iter().map(|file| size(dist, file)).sum::<anyhow::Result<_>>()?;
        let mut whole = page;
        for file in files(&dist.join("assets"))? {
            if file.extension().is_some_and(|extension| extension == "br") {
                whole += fs::metadata(file)?.len();
            }
        }
        Ok(Self { first_route: page + first, editor: added, whole })
    }
}

/// The files that an entry of the manifest loads at once, those of its imports included.
fn collect(manifest: &Value, entry: &str, found: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let chunk = manifest.get(entry).with_context(|| format!("{entry} is not in the manifest"))?;
    let file = chunk["file"].as_str().context("a chunk has a file")?;
    if !found.insert(file.to_owned()) {
        return Ok(());
    }
    let names = |member: &str| chunk[member].as_array().cloned().unwrap_or_default();
    found.extend(names("css").iter().filter_map(Value::as_str).map(str::to_owned));
    for import in names("imports").iter().filter_map(Value::as_str) {
        collect(manifest, import, found)?;
    }
    Ok(())
}

fn size(dist: &Path, file: &str) -> anyhow::Result<u64> {
    let packed = dist.join(format!("{file}.br"));
    Ok(fs::metadata(&packed).with_context(|| format!("no file {}", packed.display()))?.len())
}
