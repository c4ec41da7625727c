//! Lists the files of the built portal, so that they are part of the binary. Node is not needed:
//! `web/dist` is committed.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let dist = Path::new(&manifest).join("../../web/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let page = dist.join("index.html");
    assert!(
        page.is_file(),
        "{} is missing: run `npm install && npm run build` in web",
        page.display()
    );
    let mut code = format!("const PAGE: &str = include_str!({:?});\n", page.canonicalize()?);
    code.push_str("const FILES: &[File] = &[\n");
    for (path, file) in files(&dist)? {
        let packed = PathBuf::from(format!("{}.br", file.display()));
        let brotli = match packed.is_file() {
            true => format!("Some(include_bytes!({packed:?}))"),
            false => "None".to_owned(),
        };
        let line = format!(
            "    File {{ path: {path:?}, plain: include_bytes!({file:?}), brotli: {brotli} }},\n"
        );
        code.write_str(&line).expect("text grows");
    }
    code.push_str("];\n");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("dist.rs"), code)
}

/// What is served under its own name: the assets and the icon. Sorted by path.
fn files(dist: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let icon = dist.join("favicon.svg").canonicalize()?;
    let mut found = vec![("/favicon.svg".to_owned(), icon)];
    for entry in fs::read_dir(dist.join("assets"))? {
        let path = entry?.path().canonicalize()?;
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are ASCII");
        if !name.ends_with(".br") {
            found.push((format!("/assets/{name}"), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}
