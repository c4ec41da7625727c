//! KQL at the command line: files, charts, a data folder without a gateway, and editors.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::support::{System, gatehouse, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_folder_answers_without_a_gateway_and_reads_of_content_stay_on_record() {
    let system = System::demo();
    let chat = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    system.post(chat, &json!({ "messages": [{ "role": "user", "content": "seal 7" }] }));
    system.rows("Interactions", 1);
    let file = |query: &str, output: &str| {
        let mut command = gatehouse();
        command.args(["query", "--config"]).arg(&system.config);
        run(command.args(["--output", output, "--purpose", "files", query]))
    };
    let parquet = file("Messages | project Content", "parquet").stdout;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let refused = file("Messages | project Nowhere", "arrow");
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(text(&refused.stderr).contains("Nowhere"), "{}", text(&refused.stderr));
    let chart = file("Interactions | summarize n = count() by Kind | render barchart", "table");
    assert!(text(&chart.stdout).contains('█'), "{}", text(&chart.stdout));
    let read = system.row("ContentReads | where Via != 'cli' | project Via");
    assert_eq!(read, json!({ "Via": "export/parquet" }));

    let offline = |folder: &std::path::Path, arguments: &[&str]| {
        let mut command = gatehouse();
        command.args(["query", "--config", "none.yaml", "--data-dir"]).arg(folder);
        run(command.args(arguments))
    };
    let (data, _folder) = {
        let data = system.config.parent().expect("its folder").to_owned();
        let held = offline(&data, &["Interactions | count"]);
        assert!(text(&held.stderr).contains("a gateway runs on"), "{}", text(&held.stderr));
        system.stop()
    };
    let query = "Messages | where Direction == 'prompt' | project Content";
    let nameless = offline(&data, &["--output", "csv", query]);
    assert!(!nameless.status.success() && text(&nameless.stderr).contains("purpose"));
    let read = offline(&data, &["--output", "csv", "--purpose", "case 7", query]);
    assert_eq!(text(&read.stdout), "Content\nseal 7\n", "{}", text(&read.stderr));
    // The record of that is in the ledger and nowhere else yet.
    let verify = run(gatehouse()
        .args(["audit", "verify", "--json", "--ledger-dir"])
        .arg(data.join("ledger")));
    assert!(verify.status.success(), "{}", text(&verify.stderr));
    let next = offline(&data, &["Interactions | count"]);
    assert!(text(&next.stderr).contains("not in the tables yet"), "{}", text(&next.stderr));
    assert!(next.status.success() && text(&next.stdout).contains('1'));
}

/// `gatehouse kql lsp` with an editor's end of the pipes.
struct Editor {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Editor {
    fn start() -> Self {
        let mut command = gatehouse();
        command.args(["kql", "lsp"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let to = child.stdin.take().expect("piped");
        let from = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, to, from }
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("it listens");
        self.to.flush().expect("it listens");
    }

    fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.from.read_line(&mut line).expect("it speaks");
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).expect("it speaks");
        serde_json::from_slice(&body).expect("JSON")
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
        let answer = self.receive();
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    fn say(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }
}

#[test]
fn an_editor_is_told_mistakes_choices_meanings_and_layout() {
    let mut editor = Editor::start();
    let told = editor.ask("initialize", json!({ "capabilities": {} }));
    assert_eq!(told["capabilities"]["hoverProvider"], true);
    editor.say("initialized", json!({}));
    let document = json!({ "uri": "file:///q.kql" });
    let text = "Interactions\n| where UserIdd == 'x' | take 1";
    editor.say(
        "textDocument/didOpen",
        json!({ "textDocument": { "uri": "file:///q.kql", "languageId": "kql", "version": 1, "text": text } }),
    );
    let found = editor.receive();
    assert_eq!(found["method"], "textDocument/publishDiagnostics");
    let mistake = &found["params"]["diagnostics"][0];
    assert_eq!(mistake["range"]["start"], json!({ "line": 1, "character": 8 }));
    assert!(mistake["message"].as_str().is_some_and(|text| text.contains("UserIdd")), "{found}");
    let mended = "Interactions\n| where UserId == 'x' | take 1";
    editor.say(
        "textDocument/didChange",
        json!({ "textDocument": { "uri": "file:///q.kql", "version": 2 }, "contentChanges": [{ "text": mended }] }),
    );
    assert_eq!(editor.receive()["params"]["diagnostics"], json!([]));
    let at = |character: u32| json!({ "textDocument": document, "position": { "line": 1, "character": character } });
    let choices = editor.ask("textDocument/completion", at(14));
    let labels: Vec<&str> = choices
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|item| item["label"].as_str())
        .collect();
    assert!(labels.contains(&"UserId") && !labels.contains(&"Kind"), "{labels:?}");
    let meaning = editor.ask("textDocument/hover", at(10));
    assert!(meaning["contents"]["value"].as_str().is_some_and(|text| text.contains("string")));
    let laid_out = editor.ask(
        "textDocument/formatting",
        json!({ "textDocument": document, "options": { "tabSize": 4, "insertSpaces": true } }),
    );
    let text = laid_out[0]["newText"].as_str().expect("a text");
    assert_eq!(text.trim_end(), "Interactions\n| where UserId == 'x'\n| take 1");
    assert_eq!(editor.ask("shutdown", Value::Null), Value::Null);
    editor.say("exit", Value::Null);
    assert!(editor.child.wait().expect("it ends").success());
}
