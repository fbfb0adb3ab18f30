//! What one look at a watched certificate comes to: what is known after it, and what is said.

use countersign_ca::CertificateDescription;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::time::Timestamp;
use countersign_store::{AcceptedPin, CertificateMark, MonitorRow, SeenCertificate};

use super::Watch;

/// The longest text of a stranger's that is kept.
const LONGEST: usize = 512;

/// Why nothing was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// A stable word for the kind of failure.
    pub reason: &'static str,
    /// What happened, for people.
    pub problem: String,
}

/// A watched certificate of which nothing is known.
pub(super) fn unseen(watch: &Watch, now: Timestamp) -> MonitorRow {
    MonitorRow {
        name: watch.name.clone(),
        place: watch.place.to_string(),
        looked_at: now,
        seen: None,
        expected: None,
        accepted: None,
        changed_at: None,
        unreachable: None,
    }
}

/// The key that somebody accepted, as long as it stands in the place of the pin that is configured.
pub(super) fn accepted<'a>(watch: &Watch, row: &'a MonitorRow) -> Option<&'a AcceptedPin> {
    row.accepted.as_ref().filter(|accepted| accepted.instead_of == watch.pin)
}

/// Reads the first certificate of what was shown.
pub(super) fn read(chain: &[Vec<u8>], now: Timestamp) -> Result<SeenCertificate, Unreachable> {
    let unreadable = |problem: String| Unreachable { reason: "certificate", problem };
    let leaf = chain.first().ok_or_else(|| unreadable("no certificate".to_owned()))?;
    let description = CertificateDescription::of(leaf, None, now)
        .map_err(|error| unreadable(format!("the certificate cannot be read: {error}")))?;
    Ok(SeenCertificate {
        mark: CertificateMark { spki: description.spki, serial: short(&description.serial) },
        subject: short(&description.subject),
        issuer: short(&description.issuer),
        not_before: description.not_before,
        not_after: description.not_after,
        first_seen_at: now,
        last_seen_at: now,
    })
}

/// What a stranger wrote may hold anything, of any length.
fn short(text: &str) -> String {
    let plain = text.chars().map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one });
    plain.take(LONGEST).collect()
}

/// What is known after a look, and what is said about it.
pub(super) fn judge(
    watch: &Watch,
    known: MonitorRow,
    seen: Result<SeenCertificate, Unreachable>,
    now: Timestamp,
) -> (MonitorRow, Vec<AuditEntry>) {
    match seen {
        Ok(seen) => judge_seen(watch, known, seen, now),
        Err(unreachable) => judge_unseen(watch, known, &unreachable, now),
    }
}

fn judge_unseen(
    watch: &Watch,
    known: MonitorRow,
    unreachable: &Unreachable,
    now: Timestamp,
) -> (MonitorRow, Vec<AuditEntry>) {
    let problem = short(&unreachable.problem);
    let mut entries = Vec::new();
    if known.unreachable.is_none() {
        let entry = entry(watch, AuditEvent::MonitorUnreachable, now)
            .detail("reason", unreachable.reason)
            .detail("problem", &problem);
        entries.push(entry);
    }
    let since = known.unreachable.as_ref().map_or(now, |(since, _problem)| *since);
    (MonitorRow { unreachable: Some((since, problem)), ..known }, entries)
}

fn judge_seen(
    watch: &Watch,
    known: MonitorRow,
    mut seen: SeenCertificate,
    now: Timestamp,
) -> (MonitorRow, Vec<AuditEntry>) {
    let mut entries = Vec::new();
    if let Some((since, _problem)) = &known.unreachable {
        entries.push(entry(watch, AuditEvent::MonitorReachable, now).detail("unreachableSince", since));
    }
    let before = known.seen.as_ref();
    if let Some(before) = before.filter(|before| before.mark == seen.mark) {
        seen.first_seen_at = before.first_seen_at;
    }
    let pin = accepted(watch, &known).map(|accepted| accepted.pin).or(watch.pin);
    let (is_right, is_news, event) = match pin {
        Some(pin) => (
            seen.mark.spki == pin,
            before.is_none_or(|before| before.mark.spki != seen.mark.spki),
            AuditEvent::MonitorPinMismatch,
        ),
        None => (
            known.expected.as_ref().is_none_or(|expected| *expected == seen.mark),
            before.is_none_or(|before| before.mark != seen.mark),
            AuditEvent::MonitorChanged,
        ),
    };
    if !is_right && (is_news || known.changed_at.is_none()) {
        let mut entry = about(watch, entry(watch, event, now), &seen);
        if let Some(pin) = pin {
            entry = entry.detail("pin", pin);
        }
        if let Some(before) = before.filter(|before| before.mark != seen.mark) {
            entry = entry
                .detail("oldSpkiSha256", before.mark.spki)
                .detail("oldSerial", &before.mark.serial)
                .detail("oldNotAfter", before.not_after);
        }
        entries.push(entry);
    }
    let changed_at = if is_right { None } else { known.changed_at.or(Some(now)) };
    let expected = if is_right { Some(seen.mark.clone()) } else { known.expected.clone() };
    (MonitorRow { seen: Some(seen), expected, changed_at, unreachable: None, ..known }, entries)
}

fn entry(watch: &Watch, event: AuditEvent, now: Timestamp) -> AuditEntry {
    AuditEntry::new(None, now, event, Actor::System)
        .detail("monitor", &watch.name)
        .detail("place", &watch.place)
}

/// The entry with what is known of the certificate that it is about.
pub(super) fn about(watch: &Watch, entry: AuditEntry, seen: &SeenCertificate) -> AuditEntry {
    entry
        .detail("what", format!("monitor {}", watch.name))
        .detail("monitor", &watch.name)
        .detail("place", &watch.place)
        .detail("subject", &seen.subject)
        .detail("issuer", &seen.issuer)
        .detail("serial", &seen.mark.serial)
        .detail("spkiSha256", seen.mark.spki)
        .detail("notAfter", seen.not_after)
}
