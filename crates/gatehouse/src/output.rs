//! Results as text: aligned columns, JSON, NDJSON or CSV.

mod chart;

use anyhow::Context;
use serde_json::{Map, Value};

use crate::arguments::OutputFormat;
use crate::terminal::plain;

/// Longest cell of a table for people; longer ones end in `…`. The other formats cut nothing.
const CELL_CHARS_MAX: usize = 60;

/// A result as the admin listener sent it: a version 1 answer.
pub(crate) struct Answer(pub(crate) Value);

impl Answer {
    /// Every result as the format wants it, with a line feed at the end of each.
    pub(crate) fn render(&self, format: OutputFormat) -> anyhow::Result<String> {
        let results = portal::results(&self.0).iter();
        results.map(|table| Table(table).render(format)).collect()
    }

    /// For people: a chart where `render` asks for one, otherwise aligned columns.
    pub(crate) fn show(&self, width: usize) -> anyhow::Result<String> {
        let results = portal::results(&self.0);
        let show = |(at, table): (usize, &Value)| {
            let wanted = self.visualization(results.len(), at);
            let text = |name: &str| wanted[name].as_str().unwrap_or_default().to_owned();
            let (kind, title) = (text("Visualization"), text("Title"));
            let wanted = chart::Wanted { kind: &kind, title: &title };
            match chart::draw(&Table(table), &wanted, width) {
                Some(chart) => Ok(chart),
                None => Table(table).render(OutputFormat::Table),
            }
        };
        results.iter().enumerate().map(show).collect()
    }

    /// How a result is to be shown: the table behind the results tells it, a row for each.
    fn visualization(&self, count: usize, at: usize) -> Value {
        let told = self.0["Tables"][count]["Rows"][at][0].as_str();
        told.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// What the gateway left out, if it cut the result.
    pub(crate) fn cut(&self) -> Option<&str> {
        self.0["Exceptions"].get(0)?.as_str()
    }

    /// The rows of the first result as objects.
    pub(crate) fn objects(&self) -> anyhow::Result<Vec<Map<String, Value>>> {
        let first = portal::results(&self.0).first().context("the answer holds no result")?;
        Table(first).objects()
    }
}

/// One result.
pub(crate) struct Table<'a>(pub(crate) &'a Value);

impl Table<'_> {
    fn render(&self, format: OutputFormat) -> anyhow::Result<String> {
        match format {
            OutputFormat::Table => self.table(),
            OutputFormat::Json => {
                Ok(serde_json::to_string_pretty(&self.objects()?).context("JSON")? + "\n")
            }
            OutputFormat::Ndjson => {
                let lines: Result<Vec<_>, _> =
                    self.objects()?.iter().map(serde_json::to_string).collect();
                Ok(lines.context("JSON")?.iter().map(|line| format!("{line}\n")).collect())
            }
            OutputFormat::Csv => self.csv(),
        }
    }

    fn objects(&self) -> anyhow::Result<Vec<Map<String, Value>>> {
        portal::rows_as_objects(self.0).context("the gateway's answer is no query result")
    }

    /// Names of the columns.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.of_columns("ColumnName")
    }

    /// Kusto's types of the columns.
    pub(crate) fn types(&self) -> Vec<&str> {
        self.of_columns("ColumnType")
    }

    fn of_columns(&self, what: &str) -> Vec<&str> {
        let columns = self.0["Columns"].as_array();
        columns.into_iter().flatten().filter_map(|column| column[what].as_str()).collect()
    }

    /// The rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Vec<Value>> {
        self.0["Rows"].as_array().into_iter().flatten().filter_map(Value::as_array)
    }

    fn table(&self) -> anyhow::Result<String> {
        let mut lines: Vec<Vec<String>> =
            vec![self.names().into_iter().map(str::to_owned).collect()];
        lines.extend(self.rows().map(|row| row.iter().map(|cell| shorten(&text(cell))).collect()));
        let columns = lines[0].len();
        let widths: Vec<usize> = (0..columns)
            .map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0))
            .collect();
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        lines.insert(1, rule);
        let mut table = String::new();
        for line in &lines {
            let cells: Vec<String> =
                line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            table.push_str(cells.join("  ").trim_end());
            table.push('\n');
        }
        let count = lines.len() - 2;
        table.push_str(&format!("{count} row{}\n", if count == 1 { "" } else { "s" }));
        Ok(table)
    }

    fn csv(&self) -> anyhow::Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.names())?;
        for row in self.rows() {
            writer.write_record(row.iter().map(text))?;
        }
        let bytes = writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
        String::from_utf8(bytes).context("cells are UTF-8")
    }
}

fn text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One line, at most so many characters.
fn shorten(cell: &str) -> String {
    let line = plain(cell);
    if line.chars().count() <= CELL_CHARS_MAX {
        return line;
    }
    line.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer() -> Answer {
        Answer(json!({ "Tables": [{
            "Columns": [{ "ColumnName": "ip" }, { "ColumnName": "said" }],
            "Rows": [["10.0.0.1", "a,\nb"], ["10.0.0.2", { "x": 1 }], ["::1", null]],
        }] }))
    }

    #[test]
    fn people_get_a_chart_where_the_query_renders_one() {
        let visualization = json!({ "Visualization": "piechart", "Title": "Shares" }).to_string();
        let answer = Answer(json!({ "Tables": [
            { "Columns": [{ "ColumnName": "m", "ColumnType": "string" }, { "ColumnName": "n", "ColumnType": "long" }],
              "Rows": [["gpt-4o", 3], ["o3", 1]] },
            { "Columns": [{ "ColumnName": "Value" }], "Rows": [[visualization]] }, {}, {},
        ] }));
        let shown = answer.show(60).expect("shows");
        assert!(shown.starts_with("Shares\ngpt-4o  █"), "{shown}");
        assert!(shown.contains("75.0 %") && shown.contains("25.0 %"), "{shown}");
    }

    #[test]
    fn people_get_aligned_columns_on_one_line_each() {
        let table = answer().render(OutputFormat::Table).expect("renders");
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "ip        said");
        assert_eq!(lines[2], "10.0.0.1  a, b");
        assert_eq!(lines[5], "3 rows");
    }

    #[test]
    fn csv_quotes_and_json_keeps_types() {
        let csv = answer().render(OutputFormat::Csv).expect("renders");
        assert_eq!(csv.lines().next(), Some("ip,said"));
        assert!(csv.contains("\"a,\nb\""), "{csv}");
        let lines = answer().render(OutputFormat::Ndjson).expect("renders");
        assert!(lines.contains(r#"{"ip":"10.0.0.2","said":{"x":1}}"#), "{lines}");
    }

    #[test]
    fn a_long_cell_is_cut_for_people_only() {
        assert_eq!(shorten(&"x".repeat(61)).chars().count(), CELL_CHARS_MAX);
        assert_eq!(shorten("short"), "short");
    }
}
