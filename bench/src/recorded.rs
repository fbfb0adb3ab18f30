//! The tables of the reference page, read back for the charts: what is drawn is what is written there.

use crate::peers::Peer;

/// What everybody did about one thing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) what: String,
    /// The own one first.
    pub(crate) bars: Vec<Bar>,
    pub(crate) targets: Vec<Goal>,
    /// Whether the longer bar is the better one.
    pub(crate) is_rate: bool,
}

/// What one of them did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) who: String,
    pub(crate) value: f64,
    /// As the table says it.
    pub(crate) said: String,
}

/// What was to be reached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Goal {
    /// As the table says it.
    pub(crate) said: String,
    /// Where on the scale of the bars; `None`: the peer was not measured.
    pub(crate) at: Option<f64>,
    pub(crate) is_met: bool,
}

/// The rows of a table in Markdown that compare something: with a peer or with a target.
pub(crate) fn comparisons(table: &str) -> Vec<Comparison> {
    let mut lines = table.lines().filter(|line| line.starts_with("| ")).map(cells);
    let Some(columns) = lines.next() else { return Vec::new() };
    lines
        .filter_map(|row| comparison(&columns, &row))
        .filter(|row| row.bars.len() > 1 || !row.targets.is_empty())
        .collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

fn comparison(columns: &[&str], row: &[&str]) -> Option<Comparison> {
    let [what, measured @ .., targets] = row else { return None };
    let names = columns.iter().skip(1);
    let bars: Vec<Bar> = names.zip(measured).filter_map(|(who, said)| bar(who, said)).collect();
    let own = bars.first()?;
    let is_rate = !own.said.contains(' ');
    let targets = targets.split("; ").filter_map(|said| goal(said, &bars)).collect();
    Some(Comparison { what: (*what).to_owned(), bars, targets, is_rate })
}

/// `797 (4.19×)`, `0.83 ms`, `5100.3 KB`.
fn bar(who: &str, said: &str) -> Option<Bar> {
    Some(Bar { who: who.to_owned(), value: number(said)?, said: said.to_owned() })
}

/// The number that a text begins with.
fn number(text: &str) -> Option<f64> {
    text.split([' ', '×']).next()?.replace(',', "").parse().ok()
}

/// `≥ 2.5× nginx: met`, `> HAProxy: met`, `≤ Mosquitto + 1.00 ms: met`, `≥ 4,000: **missed**`.
fn goal(said: &str, bars: &[Bar]) -> Option<Goal> {
    let (wanted, outcome) = said.rsplit_once(": ")?;
    let of = |name: &str| bars.iter().skip(1).find(|bar| bar.who == name).map(|bar| bar.value);
    let (_sign, wanted_at) = wanted.split_once(' ')?;
    let is_peer = |name: &str| Peer::ALL.iter().any(|peer| peer.name() == name);
    let at = match (wanted_at.split_once("× "), wanted_at.split_once(" + ")) {
        (Some((factor, peer)), _) => number(factor).zip(of(peer)).map(|(factor, value)| factor * value),
        (None, Some((peer, more))) => of(peer).zip(number(more)).map(|(value, more)| value + more),
        (None, None) if is_peer(wanted_at) => of(wanted_at),
        (None, None) => number(wanted_at),
    };
    Some(Goal { said: wanted.to_owned(), at, is_met: outcome == "met" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Row, Target, Unit, markdown};

    #[test]
    fn what_was_written_is_read() {
        let peers = [Some(1000.0), None, Some(2900.0), None, None, None, None];
        let targets = vec![
            Target::Times(Peer::Nginx, 2.5),
            Target::Times(Peer::Envoy, 1.3),
            Target::MoreThan(Peer::Haproxy),
            Target::AtLeast(4000.0),
        ];
        let what = "handshakes".to_owned();
        let compared = Row { what, unit: Unit::Rate, own: 3000.0, peers, targets };
        let alone = Row::alone("nothing to compare it with", Unit::Kilobytes, 5.0, None);
        let latency = Row {
            what: "answers".to_owned(),
            unit: Unit::Milliseconds,
            own: 0.31,
            peers: [None, None, None, None, None, None, Some(0.56)],
            targets: vec![Target::Above(Peer::Mosquitto, 1.0), Target::NotAbove(Peer::Mosquitto)],
        };
        let read = comparisons(&markdown(&[compared, alone, latency]));
        let [handshakes, answers] = &read[..] else { panic!("{read:?}") };
        let bars =
            |of: &Comparison| of.bars.iter().map(|bar| (bar.who.clone(), bar.value)).collect::<Vec<_>>();
        let named = |who: &str, value: f64| (who.to_owned(), value);
        assert_eq!(
            bars(handshakes),
            [named("Countersign", 3000.0), named("nginx", 1000.0), named("Envoy", 2900.0)]
        );
        assert_eq!(bars(answers), [named("Countersign", 0.31), named("Mosquitto", 0.56)]);
        assert_eq!((handshakes.is_rate, answers.is_rate), (true, false));
        let goals =
            |of: &Comparison| of.targets.iter().map(|goal| (goal.at, goal.is_met)).collect::<Vec<_>>();
        assert_eq!(
            goals(handshakes),
            [(Some(2500.0), true), (Some(3770.0), false), (None, false), (Some(4000.0), false)]
        );
        assert_eq!(goals(answers), [(Some(1.56), true), (Some(0.56), true)]);
    }

    #[test]
    fn what_is_no_table_has_nothing_to_draw() {
        assert_eq!(comparisons("Machine: one\n\n"), []);
        assert_eq!(comparisons("| what | Countersign | target |\n|---|---|---|\n| a |\n"), []);
    }
}
