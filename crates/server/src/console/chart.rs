//! Charts: pictures of numbers that are also there as a table.

use maud::{Markup, html};

use super::words::number_of;

/// One bar.
pub(super) struct Bar {
    /// What stands below it.
    pub(super) label: String,
    pub(super) value: u64,
    /// `bad` or `warn` where it needs attention.
    pub(super) tone: &'static str,
}

const HEIGHT: u64 = 120;
const PITCH: usize = 56;
const WIDTH: usize = 36;

/// Bars side by side, and the same as a table.
pub(super) fn bars(title: &str, (what, unit): (&str, &str), bars: &[Bar]) -> Markup {
    let highest = bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let shapes = html! {
        @for (place, bar) in bars.iter().enumerate() {
            @let height = height_of(bar.value, highest);
            @let left = place * PITCH + (PITCH - WIDTH) / 2;
            @let middle = place * PITCH + PITCH / 2;
            rect class={ "bar " (bar.tone) } x=(left) width=(WIDTH) rx="3" y=(HEIGHT + 20 - height) height=(height) {
                title { (bar.label) ": " (number_of(bar.value)) }
            }
            @if bar.value > 0 {
                text class="value" x=(middle) y=(HEIGHT + 13 - height) { (short_number(bar.value)) }
            }
            text class="label" x=(middle) y=(HEIGHT + 37) { (bar.label) }
        }
    };
    let rows = bars.iter().map(|bar| (bar.label.as_str(), [bar.value]));
    framed(title, bars.len() * PITCH, &shapes, &table(what, [unit], rows))
}

const fn height_of(value: u64, highest: u64) -> u64 {
    if value == 0 {
        return 0;
    }
    let height = value * HEIGHT / highest;
    if height < 2 { 2 } else { height }
}

/// A picture so wide, above its numbers.
fn framed(title: &str, width: usize, shapes: &Markup, numbers: &Markup) -> Markup {
    html! {
        figure class="chart" {
            div class="scroll" tabindex="0" role="group" aria-label=(title) {
                svg role="img" aria-label=(title) viewBox={ "0 0 " (width) " " (HEIGHT + 44) } {
                    line class="axis" x1="0" x2=(width) y1=(HEIGHT + 20) y2=(HEIGHT + 20) {}
                    (shapes)
                }
            }
            details {
                summary { "As a table" }
                (numbers)
            }
        }
    }
}

fn table<'a, const N: usize>(
    what: &str,
    units: [&str; N],
    rows: impl Iterator<Item = (&'a str, [u64; N])>,
) -> Markup {
    html! {
        table class="numbers" {
            thead {
                tr { th scope="col" { (what) } @for unit in units { th scope="col" class="number" { (unit) } } }
            }
            tbody {
                @for (label, values) in rows {
                    tr {
                        td { (label) }
                        @for value in values { td class="number" { (number_of(value)) } }
                    }
                }
            }
        }
    }
}

/// Two numbers of one time.
pub(super) struct Pair {
    /// What stands below it.
    pub(super) label: String,
    pub(super) values: [u64; 2],
}

const PAIR_PITCH: usize = 30;
const PAIR_WIDTH: usize = 11;

/// Every how manieth pair has its label below.
const LABELLED: usize = 4;

/// Pairs of bars side by side, good ones and bad ones, and the same as a table.
pub(super) fn beside(title: &str, (what, units): (&str, [&str; 2]), pairs: &[Pair]) -> Markup {
    let highest = pairs.iter().flat_map(|pair| pair.values).max().unwrap_or(0).max(1);
    let shapes = html! {
        @for (place, pair) in pairs.iter().enumerate() {
            @let left = place * PAIR_PITCH + (PAIR_PITCH - 2 * PAIR_WIDTH) / 2;
            @for (number, (value, tone)) in pair.values.iter().zip(["good", "bad"]).enumerate() {
                @let height = height_of(*value, highest);
                rect class={ "bar " (tone) } x=(left + number * PAIR_WIDTH) width=(PAIR_WIDTH - 1) rx="2"
                    y=(HEIGHT + 20 - height) height=(height) {
                    title { (pair.label) ": " (number_of(*value)) }
                }
            }
            @if place % LABELLED == 0 {
                text class="label" x=(place * PAIR_PITCH + PAIR_PITCH / 2) y=(HEIGHT + 37) { (pair.label) }
            }
        }
    };
    let rows = pairs.iter().map(|pair| (pair.label.as_str(), pair.values));
    html! {
        (framed(title, pairs.len() * PAIR_PITCH, &shapes, &table(what, units, rows)))
        ul class="legend" {
            @for (name, tone) in units.iter().zip(["good", "bad"]) {
                li { span class="key" { span class={ "dot " (tone) } {} span { (name) } } }
            }
        }
    }
}

/// A part of a whole.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) value: u64,
    pub(super) tone: &'static str,
    pub(super) href: String,
}

/// A bar of parts, with what each is.
pub(super) fn parts(title: &str, parts: &[Part]) -> Markup {
    let sum: u64 = parts.iter().map(|part| part.value).sum();
    let mut left = 0;
    let mut placed = Vec::with_capacity(parts.len());
    for part in parts.iter().filter(|part| part.value > 0) {
        // At least as wide that it is seen.
        let width = (part.value * 1000 / sum.max(1)).max(4);
        placed.push((left, width, part));
        left += width;
    }
    html! {
        figure class="parts" {
            svg role="img" aria-label=(title) viewBox={ "0 0 " (left.max(1000)) " 10" }
                preserveAspectRatio="none" {
                rect class="part none" x="0" y="0" width=(left.max(1000)) height="10" {}
                @for (left, width, part) in &placed {
                    rect class={ "part " (part.tone) } x=(left) y="0" width=(width) height="10" {
                        title { (part.name) ": " (number_of(part.value)) }
                    }
                }
            }
            ul class="legend" {
                @for part in parts {
                    li {
                        a href=(part.href) {
                            span class={ "dot " (part.tone) } {}
                            span { (part.name) }
                            strong { (number_of(part.value)) }
                        }
                    }
                }
            }
        }
    }
}

/// A row of small bars, for a cell of a table that has their sum beside it.
pub(super) fn spark(title: &str, values: &[u64]) -> Markup {
    let highest = values.iter().copied().max().unwrap_or(0).max(1);
    html! {
        svg class="spark" role="img" aria-label=(title) viewBox={ "0 0 " (values.len() * 5) " 20" } {
            @for (place, value) in values.iter().enumerate() {
                @let height = if *value == 0 { 1 } else { (value * 20 / highest).max(3) };
                rect class=(if *value == 0 { "bar none" } else { "bar" }) x=(place * 5) width="4"
                    y=(20 - height) height=(height) {}
            }
        }
    }
}

/// A number in at most four signs or so.
fn short_number(number: u64) -> String {
    match number {
        0..10_000 => number_of(number),
        10_000..1_000_000 => format!("{}k", number / 1000),
        _ => format!("{}.{}M", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}
