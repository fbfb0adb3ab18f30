//! What comes out: a row for each measurement, with its target and whether it is met.

use crate::peers::Peer;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// For each second: more is better.
    Rate,
    /// Microseconds: less is better.
    Microseconds,
    /// Milliseconds: less is better.
    Milliseconds,
    /// Bytes: less is better.
    Octets,
    /// Kilobytes (1,000 bytes): less is better.
    Kilobytes,
    /// Megabytes (1,000,000 bytes): less is better.
    Megabytes,
    /// Per cent of the row above it.
    Percent,
}

/// What the row must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// At least so many times the peer's rate.
    Times(Peer, f64),
    /// More than the peer's rate.
    MoreThan(Peer),
    /// Not more than the peer's time.
    NotAbove(Peer),
    /// At most so many milliseconds more than the peer's time.
    Above(Peer, f64),
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) own: f64,
    /// In the order of [`Peer::ALL`]; `None`: not installed, or it does nothing like it.
    pub(crate) peers: [Option<f64>; Peer::COUNT],
    pub(crate) targets: Vec<Target>,
}

/// Whether a target is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Met,
    Missed,
    Unknown,
}

impl Row {
    /// A row without peers.
    pub(crate) fn alone(what: &str, unit: Unit, own: f64, target: Option<Target>) -> Self {
        Self {
            what: what.to_owned(),
            unit,
            own,
            peers: [None; Peer::COUNT],
            targets: target.into_iter().collect(),
        }
    }

    fn of(&self, peer: Peer) -> Option<f64> {
        Peer::ALL.iter().position(|one| *one == peer).and_then(|at| self.peers.get(at).copied().flatten())
    }

    fn outcome(&self, target: Target) -> Outcome {
        let is_met = match target {
            Target::Times(peer, factor) => self.of(peer).map(|other| self.own >= other * factor),
            Target::MoreThan(peer) => self.of(peer).map(|other| self.own > other),
            Target::NotAbove(peer) => self.of(peer).map(|other| self.own <= other),
            Target::Above(peer, most) => self.of(peer).map(|other| self.own <= other + most),
            Target::AtLeast(least) => Some(self.own >= least),
            Target::AtMost(most) => Some(self.own <= most),
        };
        match is_met {
            Some(true) => Outcome::Met,
            Some(false) => Outcome::Missed,
            None => Outcome::Unknown,
        }
    }

    /// One line of the table, with a cell for each of these peers.
    fn line(&self, columns: &[Peer]) -> String {
        let cells = columns.iter().map(|peer| match self.of(*peer) {
            Some(value) if self.unit == Unit::Percent => show(value, self.unit),
            Some(value) => format!("{} ({:.2}×)", show(value, self.unit), self.own / value),
            None => String::new(),
        });
        let targets = self.targets.iter().map(|target| {
            let mark = match self.outcome(*target) {
                Outcome::Met => "met",
                Outcome::Missed => "**missed**",
                Outcome::Unknown => "?",
            };
            format!("{}: {mark}", words(*target, self.unit))
        });
        let targets: Vec<String> = targets.collect();
        let cells = [self.what.clone(), show(self.own, self.unit)].into_iter().chain(cells);
        format!("| {} |", cells.chain([targets.join("; ")]).collect::<Vec<_>>().join(" | "))
    }
}

fn words(target: Target, unit: Unit) -> String {
    match target {
        Target::Times(peer, factor) => format!("≥ {factor}× {}", peer.name()),
        Target::MoreThan(peer) => format!("> {}", peer.name()),
        Target::NotAbove(peer) => format!("≤ {}", peer.name()),
        Target::Above(peer, most) => format!("≤ {} + {}", peer.name(), show(most, unit)),
        Target::AtLeast(least) => format!("≥ {}", show(least, unit)),
        Target::AtMost(most) => format!("≤ {}", show(most, unit)),
    }
}

fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Rate => grouped(value),
        Unit::Microseconds => format!("{value:.2} µs"),
        Unit::Milliseconds if value < 10.0 => format!("{value:.2} ms"),
        Unit::Milliseconds => format!("{value:.0} ms"),
        Unit::Octets => format!("{value:.0} bytes"),
        Unit::Kilobytes => format!("{value:.1} KB"),
        Unit::Megabytes => format!("{value:.0} MB"),
        Unit::Percent => format!("{value:.1} %"),
    }
}

/// `12,345`.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The whole table in Markdown, with a column for each peer that was measured.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let columns: Vec<Peer> =
        Peer::ALL.into_iter().filter(|peer| rows.iter().any(|row| row.of(*peer).is_some())).collect();
    let names = columns.iter().map(|peer| peer.name());
    let names: Vec<&str> = ["what", "Countersign"].into_iter().chain(names).chain(["target"]).collect();
    let mut text = format!("| {} |\n|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for row in rows {
        text.push_str(&row.line(&columns));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_its_ratios_and_whether_it_is_good_enough() {
        let row = Row {
            what: "handshakes".to_owned(),
            unit: Unit::Rate,
            own: 3000.0,
            peers: [Some(1000.0), None, Some(2900.0), None, None, None, None],
            targets: vec![
                Target::Times(Peer::Nginx, 2.5),
                Target::Times(Peer::Envoy, 1.3),
                Target::MoreThan(Peer::Haproxy),
            ],
        };
        let expected = "| what | Countersign | nginx | Envoy | target |\n|---|---|---|---|---|\n\
                        | handshakes | 3,000 | 1,000 (3.00×) | 2,900 (1.03×) | \
                        ≥ 2.5× nginx: met; ≥ 1.3× Envoy: **missed**; > HAProxy: ? |\n";
        assert_eq!(markdown(&[row]), expected);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([7.0, 999.6, 1_234_567.0].map(grouped), ["7", "1,000", "1,234,567"]);
    }
}
