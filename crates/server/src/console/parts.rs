//! What pages are put together from.

use std::time::Duration;

use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::time::Timestamp;
use maud::{Markup, Render, html};
use qrcode::{Color, QrCode};

use super::icons::Icon;
use crate::failure::Failure;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// From here on years say more than days.
const YEARS: u64 = 2 * 365 * DAY;

/// The head of a page: its title, a line below it, and what can be done.
pub(super) fn head(title: impl Render, line: impl Render, actions: impl Render) -> Markup {
    html! {
        div class="head" {
            div { h1 { (title) } p class="soft" { (line) } }
            div class="actions" { (actions) }
        }
    }
}

/// A status as a coloured word.
pub(super) fn status(status: DeviceStatus) -> Markup {
    let tone = match status {
        DeviceStatus::Online => "good",
        DeviceStatus::Pending => "info",
        DeviceStatus::Offline | DeviceStatus::Decommissioned => "still",
        DeviceStatus::Maintenance => "warn",
        DeviceStatus::Quarantined => "bad",
    };
    pill(tone, status.as_str())
}

/// The state of a certificate as a coloured word.
pub(super) fn certificate_state(state: CertificateState) -> Markup {
    let (tone, word) = match state {
        CertificateState::Active => ("good", "active"),
        CertificateState::PendingActivation => ("info", "not used yet"),
        CertificateState::Superseded => ("still", "superseded"),
        CertificateState::Revoked => ("bad", "revoked"),
        CertificateState::Expired => ("warn", "expired"),
    };
    pill(tone, word)
}

/// A word with a dot in the colour of how it is: `good`, `info`, `still`, `warn` or `bad`.
pub(super) fn pill(tone: &str, word: impl Render) -> Markup {
    html! { span class={ "pill " (tone) } { (word) } }
}

/// A length of time in its largest unit.
pub(super) fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let (number, unit) = match seconds {
        0..MINUTE => (seconds.max(1), "second"),
        MINUTE..HOUR => (seconds.div_ceil(MINUTE), "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        YEARS.. => (seconds / (365 * DAY), "year"),
        _ => (seconds / DAY, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// A moment as people write it, to the minute.
pub(super) fn moment(at: Timestamp) -> String {
    let text = at.floor_to_second().to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{date} {} UTC", time.chars().take(5).collect::<String>())
}

/// The day of a moment.
pub(super) fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

fn time(at: Timestamp, text: impl Render) -> Markup {
    html! { time datetime=(at) title=(moment(at)) { (text) } }
}

/// How long ago something was.
pub(super) fn ago(now: Timestamp, at: Timestamp) -> Markup {
    let since = now.since(at);
    match since.as_secs() {
        0..=44 => time(at, "just now"),
        seconds if seconds < 60 * DAY => time(at, format!("{} ago", length(since))),
        _ => time(at, day(at)),
    }
}

/// The same of what may never have been.
pub(super) fn ago_or(now: Timestamp, at: Option<Timestamp>, never: &str) -> Markup {
    at.map_or_else(|| html! { span class="soft" { (never) } }, |at| ago(now, at))
}

/// How long it is until something, or how long ago it was.
pub(super) fn until(now: Timestamp, at: Timestamp) -> Markup {
    if at > now { time(at, format!("in {}", length(at.since(now)))) } else { ago(now, at) }
}

/// A moment in full.
pub(super) fn exactly(at: Timestamp) -> Markup {
    html! { time datetime=(at) { (moment(at)) } }
}

/// What is shown where there is nothing to show: why, and what to do about it.
pub(super) fn empty(icon: Icon, title: &str, text: impl Render, action: impl Render) -> Markup {
    html! {
        div class="empty" {
            (icon.shown())
            h2 { (title) }
            p { (text) }
            div class="actions" { (action) }
        }
    }
}

/// The head of the column in which devices are ticked: one box for all of the page.
pub(super) fn every_device() -> Markup {
    html! {
        th class="tick" scope="col" {
            input type="checkbox" class="needs-script" data-ticks="id" aria-label="Every device on this page";
        }
    }
}

/// The path of a list with what is looked for; what is not is left out.
pub(super) fn path_of(list: &str, wanted: &[(&str, Option<&str>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in wanted {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    format!("{list}?{}", query.finish())
}

/// The way to further pages of a list.
pub(super) fn pager(first: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav class="pager" aria-label="Pages" {
                @if let Some(first) = first { a class="button" href=(first) { "First page" } }
                @if let Some(next) = next { a class="button" href=(next) rel="next" { "Next page" } }
            }
        }
    }
}

/// A text to be copied, with a button that does.
pub(super) fn copyable(id: &str, text: &str) -> Markup {
    html! {
        div class="command" {
            pre tabindex="0" aria-label="Command" { code id=(id) { (text) } }
            button type="button" class="quiet needs-script" data-copy=(id) { "Copy" }
        }
    }
}

/// A text as a QR code; `None` for one that is too long.
pub(super) fn picture(text: &str, name: &str) -> Option<Markup> {
    let code = QrCode::new(text.as_bytes()).ok()?;
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let squares = dark.map(|(place, _)| format!("M{} {}h1v1h-1z", place % width + 4, place / width + 4));
    let (path, size) = (squares.collect::<String>(), width + 8);
    Some(html! {
        svg class="code" role="img" aria-label=(name) viewBox={ "0 0 " (size) " " (size) } {
            rect width=(size) height=(size) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    })
}

/// What was wrong with a form.
pub(super) fn problems(failure: Option<&Failure>) -> Markup {
    let Some(failure) = failure else { return html! {} };
    html! {
        div class="notice bad" role="alert" {
            @if failure.body.fields.is_empty() {
                (failure.body.error) "."
            } @else {
                @for (name, problem) in &failure.body.fields { p { strong { (name) } " " (problem) "." } }
            }
        }
    }
}

/// A fact with its name.
pub(super) fn fact(name: &str, value: impl Render) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// A long id or hash, cut; whole for whoever hovers or copies.
pub(super) fn short(text: &str) -> Markup {
    let cut: String = text.chars().take(16).collect();
    html! { code title=(text) { (cut) @if cut.len() < text.len() { "…" } } }
}

/// A number of edges that have applied a change.
pub(super) fn applied(applied: countersign_authority::publish::Applied) -> String {
    match (applied.applied, applied.total) {
        (_, 0) => "No edge is attached; the doors learn of it when they start.".to_owned(),
        (done, total) if done >= total => format!("Applied at every edge ({total})."),
        (done, total) => {
            format!("Applied at {done} of {total} edges so far; the others get it when they can be reached.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let now = Timestamp::parse("2026-05-12T10:00:00Z").unwrap();
        let told = |seconds| ago(now, now - Duration::from_secs(seconds)).into_string();
        for (seconds, text) in
            [(3, "just now"), (90, "2 minutes ago"), (HOUR, "1 hour ago"), (3 * DAY, "3 days ago")]
        {
            assert!(told(seconds).contains(&format!(">{text}<")), "{}", told(seconds));
        }
        assert!(told(90 * DAY).contains(">2026-02-11<"));
        assert!(until(now, now + Duration::from_secs(2 * HOUR)).into_string().contains("in 2 hours"));
        assert_eq!(moment(now), "2026-05-12 10:00 UTC");
    }
}
