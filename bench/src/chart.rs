//! A chart of a table: for each row a bar for everybody, and marks where the targets are.

use std::fmt::Write as _;

use crate::recorded::{Comparison, Goal};

const WIDTH: f64 = 920.0;
/// Where the bars begin.
const LEFT: f64 = 104.0;
/// The longest bar.
const LONGEST: f64 = 640.0;
/// From a row's top to its first bar.
const TITLE: f64 = 24.0;
/// From one bar to the next.
const STEP: f64 = 17.0;
const BAR: f64 = 12.0;
/// What stands behind Countersign's bar is no longer than this.
const SAID: f64 = 70.0;
/// Between two rows.
const GAP: f64 = 18.0;
/// From the top of a line of text, or of a bar, to where its letters stand.
const BASELINE: f64 = 10.0;

/// Its colours follow the reader's: a page in the dark gets a chart in the dark.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#374151}\
.what{font-weight:600;fill:#111827}.who,.goals{text-anchor:end}\
.own{fill:#0f766e}.peer{fill:#9ca3af}\
.goal{stroke:#b45309;stroke-width:2}.missed{fill:#b45309}\
@media(prefers-color-scheme:dark){text{fill:#d1d5db}.what{fill:#f9fafb}\
.own{fill:#2dd4bf}.peer{fill:#6b7280}\
.goal{stroke:#fbbf24}.missed{fill:#fbbf24}}";

/// The chart of these rows, as SVG.
pub(crate) fn svg(title: &str, rows: &[Comparison]) -> Result<String, std::fmt::Error> {
    let height: f64 = rows.iter().map(height).sum();
    let mut out = String::new();
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{}\">\n<style>{STYLE}</style>",
        escaped(title)
    )?;
    let mut top = 0.0;
    for row in rows {
        group(&mut out, row, top)?;
        top += self::height(row);
    }
    writeln!(out, "</svg>")?;
    Ok(out)
}

fn height(row: &Comparison) -> f64 {
    TITLE + bars_height(row) + GAP
}

fn bars_height(row: &Comparison) -> f64 {
    row.bars.iter().map(|_bar| STEP).sum()
}

/// A row: what it is about and what was wanted, and the bars below.
fn group(out: &mut String, row: &Comparison, top: f64) -> std::fmt::Result {
    let line = top + BASELINE + 4.0;
    let sense = if row.is_rate { "" } else { " (less is better)" };
    writeln!(out, "<text class=\"what\" x=\"0\" y=\"{line}\">{}{sense}</text>", escaped(&row.what))?;
    if !row.targets.is_empty() {
        let goals: Vec<String> = row.targets.iter().map(said).collect();
        writeln!(out, "<text class=\"goals\" x=\"{WIDTH}\" y=\"{line}\">{}</text>", goals.join("; "))?;
    }
    let values = row.bars.iter().map(|bar| bar.value);
    let most = values.chain(row.targets.iter().filter_map(|goal| goal.at)).fold(f64::MIN_POSITIVE, f64::max);
    let long = |value: f64| (value.max(0.0) / most * LONGEST).round();
    let marks: Vec<f64> = row.targets.iter().filter_map(|goal| goal.at).map(long).collect();
    let first = top + TITLE;
    let mut y = first;
    for (at, bar) in row.bars.iter().enumerate() {
        let (class, length, text) = (if at == 0 { "own" } else { "peer" }, long(bar.value), y + BASELINE);
        // What was done stands behind a mark that it would be written across.
        let end = marks.iter().filter(|mark| at == 0 && (length..length + SAID).contains(*mark)).copied();
        let end = end.fold(length, f64::max);
        writeln!(
            out,
            "<text class=\"who\" x=\"{}\" y=\"{text}\">{}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length}\" height=\"{BAR}\" rx=\"2\"/>\
             <text x=\"{}\" y=\"{text}\">{}</text>",
            LEFT - 8.0,
            escaped(&bar.who),
            LEFT + end + 8.0,
            escaped(&bar.said)
        )?;
        y += STEP;
    }
    for mark in marks {
        let (x, from, to) = (LEFT + mark, first - 3.0, first + BAR + 3.0);
        writeln!(out, "<line class=\"goal\" x1=\"{x}\" y1=\"{from}\" x2=\"{x}\" y2=\"{to}\"/>")?;
    }
    Ok(())
}

fn said(goal: &Goal) -> String {
    let said = escaped(&goal.said);
    match (goal.at, goal.is_met) {
        (None, _) => said,
        (Some(_), true) => format!("{said} ✓"),
        (Some(_), false) => format!("<tspan class=\"missed\">{said} ✗</tspan>"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::Bar;

    #[test]
    fn the_best_is_the_longest_and_a_target_stands_where_it_is() {
        let bar = |who: &str, value| Bar { who: who.to_owned(), value, said: value.to_string() };
        let goal = |said: &str, at, is_met| Goal { said: said.to_owned(), at: Some(at), is_met };
        let row = Comparison {
            what: "a < b".to_owned(),
            bars: vec![bar("Countersign", 50.0), bar("nginx", 25.0)],
            targets: vec![goal("≥ 2× nginx", 50.0, true), goal("≥ 100", 100.0, false)],
            is_rate: true,
        };
        let drawn = svg("a chart", &[row]).unwrap();
        assert!(drawn.contains("a &lt; b</text>"), "{drawn}");
        assert!(drawn.contains("class=\"own\" x=\"104\" y=\"24\" width=\"320\""), "{drawn}");
        assert!(drawn.contains("class=\"peer\" x=\"104\" y=\"41\" width=\"160\""), "{drawn}");
        assert!(drawn.contains("x1=\"424\"") && drawn.contains("x1=\"744\""), "{drawn}");
        assert!(drawn.contains("≥ 2× nginx ✓; <tspan class=\"missed\">≥ 100 ✗</tspan>"), "{drawn}");
    }
}
