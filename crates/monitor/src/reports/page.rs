//! A result as a page: a table and nothing that runs. Text of callers and models is hostile: what would
//! turn lines around or is not to be seen is shown by its code.

use std::fmt::Write;

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:2em;color-scheme:light dark}\
table{border-collapse:collapse}th,td{border:1px solid #8888;padding:.3em .6em;text-align:left;\
vertical-align:top;white-space:pre-wrap;overflow-wrap:anywhere}td.number{text-align:right}";

/// The page of a CSV file with a header line.
pub(super) fn html(title: &str, covers: &str, csv: &[u8]) -> Result<Vec<u8>, csv::Error> {
    let mut reader = csv::Reader::from_reader(csv);
    let title = escaped(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n<p>{}</p>\n<table><thead><tr>",
        escaped(covers)
    );
    for name in reader.headers()? {
        add(&mut page, format_args!("<th scope=\"col\">{}</th>", escaped(name)));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in reader.records() {
        page.push_str("<tr>");
        for cell in &row? {
            let class = if cell.parse::<f64>().is_ok() { " class=\"number\"" } else { "" };
            add(&mut page, format_args!("<td{class}>{}</td>", escaped(cell)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></body></html>\n");
    Ok(page.into_bytes())
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes all");
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            hidden if is_hidden(hidden) => {
                add(&mut out, format_args!("\\u{{{:x}}}", u32::from(hidden)));
            }
            shown => out.push(shown),
        }
    }
    out
}

/// Controls, and what changes the direction of text (Unicode Standard Annex 9).
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}
