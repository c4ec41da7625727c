//! The pages of `docs/` say what the program does. The generated ones are what it prints;
//! `UPDATE_EXPECT=1` writes them.

use std::fs;
use std::path::Path;

use crate::support::{System, gatehouse, run};

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

#[test]
fn the_queries_on_the_page_of_kql_run() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/kql.md");
    let page = fs::read_to_string(page).expect("the page");
    let blocks = page.split("```kql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut queries: Vec<&str> = blocks.flat_map(|block| block.split("\n\n")).collect();
    queries.retain(|query| !query.trim().is_empty());
    assert!(queries.len() >= 6, "the page has {} queries", queries.len());
    for sample in [
        include_str!("../../src/demo/usage_by_ip_and_model.kql"),
        include_str!("../../src/demo/prompt_usage.kql"),
    ] {
        assert!(page.contains(sample.trim()), "the page shows the sample queries verbatim");
    }
    let system = System::demo();
    for query in queries {
        system.query(query);
    }
}
