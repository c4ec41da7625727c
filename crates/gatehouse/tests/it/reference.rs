//! The generated pages of `docs/` are what the program prints; `UPDATE_EXPECT=1` writes them.

use std::fs;
use std::path::Path;

use crate::support::{gatehouse, run};

fn check(page: &str) {
    let output = run(gatehouse().args(["reference", page]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/{page}.md"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, &printed).expect("writable");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let differs = printed.lines().zip(kept.lines()).find(|(now, then)| now != then);
    assert!(
        printed == kept,
        "docs/{page}.md is not what `gatehouse reference {page}` prints; first difference: \
         {differs:?}; UPDATE_EXPECT=1 mends it"
    );
}

#[test]
fn the_page_of_tables_is_what_the_program_knows() {
    check("tables");
}

#[test]
fn the_page_of_the_configuration_is_what_the_program_knows() {
    check("configuration");
}
