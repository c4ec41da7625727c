use super::*;
#[test]
fn tmp() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/cases.jsonl"))
            .unwrap();
    let (mut good, mut all) = (0, 0);
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let query = case["query"].as_str().unwrap();
        let parsed = parse(query);
        all += 1;
        if parsed.diagnostics.is_empty() {
            good += 1
        } else {
            println!(
                "{} {} :: {}",
                case["id"],
                parsed.diagnostics[0],
                query.lines().nth(parsed.diagnostics[0].line as usize - 1).unwrap_or("")
            );
        }
    }
    println!("{good}/{all}");
}
