//! Charts in the terminal, as `render` asks for them: bars for categories, curves over time.

use serde_json::Value;

use super::Table;
use crate::terminal::plain;

/// Bars shown; what follows is counted.
const BARS_MAX: usize = 40;
/// Curves shown.
const CURVES_MAX: usize = 8;
/// Longest label of a bar, in characters.
const LABEL_CHARS_MAX: usize = 30;
/// Eighths of a cell, from below.
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Eighths of a cell, from the left.
const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// What `render` asked for.
pub(crate) struct Wanted<'a> {
    /// Kind, such as `timechart`.
    pub(crate) kind: &'a str,
    /// Title; empty if none.
    pub(crate) title: &'a str,
}

/// The chart of a result, so many characters wide; none if it is no chart, or its columns make none.
pub(crate) fn draw(table: &Table<'_>, wanted: &Wanted<'_>, width: usize) -> Option<String> {
    let drawn = match wanted.kind {
        "barchart" | "columnchart" | "stackedbarchart" | "stackedcolumnchart" => {
            bars(table, width, false)?
        }
        "piechart" => bars(table, width, true)?,
        "timechart" | "linechart" | "areachart" | "stackedareachart" | "anomalychart" => {
            curves(table, width)?
        }
        _ => return None,
    };
    Some(if wanted.title.is_empty() { drawn } else { format!("{}\n{drawn}", wanted.title) })
}

/// Positions of the columns of a chart.
struct Axes {
    values: Vec<usize>,
    labels: Vec<usize>,
}

fn axes(types: &[&str]) -> Axes {
    let is_number = |kind: &str| matches!(kind, "int" | "long" | "real" | "decimal");
    let all = 0..types.len();
    let (values, labels) = all.partition(|at| is_number(types[*at]));
    Axes { values, labels }
}

fn number(cell: &Value) -> Option<f64> {
    cell.as_f64().or_else(|| cell.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

fn text(cell: &Value) -> String {
    plain(&cell.as_str().map_or_else(|| cell.to_string(), str::to_owned))
}

/// A bar for each row and value; of a pie also its share.
fn bars(table: &Table<'_>, width: usize, has_shares: bool) -> Option<String> {
    let (types, names) = (table.types(), table.names());
    let mut axes = axes(&types);
    // The first column is the axis, also where it holds numbers.
    if axes.labels.is_empty() && axes.values.len() > 1 {
        axes.labels.push(axes.values.remove(0));
    }
    let mut all = Vec::new();
    for row in table.rows() {
        let label: Vec<String> = axes.labels.iter().map(|at| text(&row[*at])).collect();
        for at in &axes.values {
            let mut label = label.join(" ");
            if axes.values.len() > 1 || label.is_empty() {
                label = format!("{label} {}", names[*at]).trim().to_owned();
            }
            all.push((shortened(&label), number(&row[*at]).unwrap_or(0.0)));
        }
    }
    if axes.values.is_empty() {
        return None;
    }
    let total: f64 = all.iter().map(|(_, value)| value.max(0.0)).sum();
    let most = all.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let label_width = all.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let room = width.saturating_sub(label_width + 24).max(8);
    let mut out = String::new();
    for (label, value) in all.iter().take(BARS_MAX) {
        let share = match has_shares && total > 0.0 {
            true => format!("  {:.1} %", value.max(0.0) / total * 100.0),
            false => String::new(),
        };
        let bar = bar(if most > 0.0 { value.max(0.0) / most } else { 0.0 }, room);
        out.push_str(&format!("{label:label_width$}  {bar} {}{share}\n", shown(*value)));
    }
    if all.len() > BARS_MAX {
        out.push_str(&format!("… {} more\n", all.len() - BARS_MAX));
    }
    Some(out)
}

fn bar(share: f64, room: usize) -> String {
    let eighths = (share * room as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(PARTS[eighths % 8]);
    }
    bar
}

/// A curve for each value column and each series, one below the other, over one axis.
fn curves(table: &Table<'_>, width: usize) -> Option<String> {
    let (types, names) = (table.types(), table.names());
    let mut axes = axes(&types);
    let x = match types.iter().position(|kind| *kind == "datetime") {
        Some(x) => {
            axes.labels.retain(|at| *at != x);
            x
        }
        None if axes.values.len() > 1 => axes.values.remove(0),
        None => return None,
    };
    let instant = |cell: &Value| match types[x] {
        "datetime" => cell.as_str().and_then(kql::parse_datetime).map(|ticks| ticks as f64),
        _ => number(cell),
    };
    let mut all: Vec<Curve> = Vec::new();
    let mut ends: Option<(f64, f64, String, String)> = None;
    for row in table.rows() {
        let Some(place) = instant(&row[x]) else { continue };
        let (first, last) = ends.as_ref().map_or((place, place), |ends| (ends.0, ends.1));
        let begin = ends.as_ref().filter(|_| first < place).map(|ends| ends.2.clone());
        let end = ends.as_ref().filter(|_| last > place).map(|ends| ends.3.clone());
        let here = || text(&row[x]);
        ends = Some((
            first.min(place),
            last.max(place),
            begin.unwrap_or_else(here),
            end.unwrap_or_else(here),
        ));
        let series: Vec<String> = axes.labels.iter().map(|at| text(&row[*at])).collect();
        for at in &axes.values {
            let Some(value) = number(&row[*at]) else { continue };
            let name = match axes.values.len() {
                1 if !series.is_empty() => series.join(" "),
                _ => format!("{} {}", series.join(" "), names[*at]).trim().to_owned(),
            };
            match all.iter_mut().find(|curve| curve.name == name) {
                Some(curve) => curve.points.push((place, value)),
                None => all.push(Curve { name, points: vec![(place, value)] }),
            }
        }
    }
    let (first, last, begin, end) = ends?;
    let height = if all.len() == 1 { 8 } else { 3 };
    let mut out = String::new();
    for curve in all.iter().take(CURVES_MAX) {
        out.push_str(&curve.draw((first, last), width, height));
    }
    let gap = width.saturating_sub(begin.chars().count() + end.chars().count()).max(1);
    out.push_str(&format!("{begin}{}{end}\n", " ".repeat(gap)));
    if all.len() > CURVES_MAX {
        out.push_str(&format!("… {} more series\n", all.len() - CURVES_MAX));
    }
    Some(out)
}

struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// The mean of the points of each column, as a hill above the least value or nought.
    fn draw(&self, (first, last): (f64, f64), width: usize, height: usize) -> String {
        let mut sums = vec![(0.0, 0_u32); width];
        for (place, value) in &self.points {
            let share = if last > first { (place - first) / (last - first) } else { 0.0 };
            let column = ((share * (width - 1) as f64).round() as usize).min(width - 1);
            sums[column].0 += value;
            sums[column].1 += 1;
        }
        let values = self.points.iter().map(|(_, value)| *value);
        let (least, most) =
            values.fold((0.0_f64, f64::MIN), |(a, b), value| (a.min(value), b.max(value)));
        let level = |(sum, count): &(f64, u32)| {
            let mean = (*count > 0).then(|| sum / f64::from(*count))?;
            let share = if most > least { (mean - least) / (most - least) } else { 0.0 };
            // What is there is seen, be it ever so little.
            Some(((share * height as f64 * 8.0).round() as usize).max(1))
        };
        let levels: Vec<Option<usize>> = sums.iter().map(level).collect();
        let mut out = format!("{}  {} … {}\n", self.name, shown(least), shown(most));
        for row in (0..height).rev() {
            let cell =
                |level: &Option<usize>| LEVELS[level.unwrap_or(0).saturating_sub(row * 8).min(8)];
            let line: String = levels.iter().map(cell).collect();
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

fn shown(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL_CHARS_MAX {
        return label.to_owned();
    }
    label.chars().take(LABEL_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn drawn(kind: &str, types: [&str; 3], rows: &Value) -> Option<String> {
        let columns: Vec<Value> = ["x", "series", "y"]
            .iter()
            .zip(types)
            .map(|(name, kind)| json!({ "ColumnName": name, "ColumnType": kind }))
            .collect();
        let table = json!({ "Columns": columns, "Rows": rows });
        draw(&Table(&table), &Wanted { kind, title: "" }, 64)
    }

    #[test]
    fn bars_are_as_long_as_their_values_and_pies_tell_shares() {
        let rows = json!([["a", "", 30], ["b", "", 10], ["c", "", 0]]);
        let chart = drawn("piechart", ["string", "string", "long"], &rows).expect("a chart");
        let lines: Vec<&str> = chart.lines().collect();
        let blocks = |line: &str| line.chars().filter(|char| *char == '█').count();
        // Parts of a cell are not counted.
        assert!(blocks(lines[0]).abs_diff(3 * blocks(lines[1])) <= 2, "{chart}");
        assert_eq!(blocks(lines[2]), 0);
        assert!(lines[0].ends_with("30  75.0 %"), "{chart}");
        let many: Vec<Value> = (0..50).map(|n| json!([n.to_string(), "", n])).collect();
        let chart = drawn("columnchart", ["string", "string", "long"], &json!(many));
        assert!(chart.expect("a chart").ends_with("… 10 more\n"));
    }

    #[test]
    fn curves_rise_where_values_do_and_stand_over_one_axis() {
        let day = |number: u32| format!("2026-01-{number:02}T00:00:00Z");
        let rows: Vec<Value> = (1..=9)
            .flat_map(|n| [json!([day(n), "up", n]), json!([day(n), "down", 10 - n])])
            .collect();
        let chart = drawn("timechart", ["datetime", "string", "long"], &json!(rows));
        let chart = chart.expect("a chart");
        let lines: Vec<&str> = chart.lines().collect();
        assert_eq!(lines[0], "up  0 … 9");
        assert_eq!(lines[4], "down  0 … 9");
        assert!(lines[1].ends_with('█') && lines[1].starts_with(' '), "{chart}");
        assert!(lines[5].starts_with('█'), "{chart}");
        assert!(lines[8].starts_with(&day(1)) && lines[8].ends_with(&day(9)), "{chart}");
    }

    #[test]
    fn what_makes_no_chart_is_shown_as_a_table() {
        let rows = json!([["a", "b", "c"]]);
        assert_eq!(drawn("timechart", ["string"; 3], &rows), None);
        assert_eq!(drawn("barchart", ["string"; 3], &rows), None);
        assert_eq!(drawn("table", ["string", "string", "long"], &rows), None);
    }
}
