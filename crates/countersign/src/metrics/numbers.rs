//! What each number is called, and what it says.

use std::collections::BTreeMap;

use countersign_authority::audit_streams::StreamStatus;
use countersign_authority::census::{COMMIT_BUCKETS, Census, ENDS_WITHIN, StoreNumbers};
use countersign_core::snapshot::TrustSnapshot;
use countersign_core::time::Timestamp;
use countersign_edge::DoorNumbers;

use super::page::{Labels, Page};
use crate::doors::Acquiring;

/// A door by its kind and name.
pub(super) type NamedDoor = (&'static str, String);

fn one<V>(value: V) -> Vec<(Labels, V)> {
    vec![(Labels::new(), value)]
}

/// Counts are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and a count that large does not occur")]
const fn float(count: u64) -> f64 {
    count as f64
}

/// Seconds until a moment; negative when it is over.
fn seconds_until(moment: Timestamp, now: Timestamp) -> f64 {
    let millis = moment.millis().saturating_sub(now.millis());
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries fit")]
    let seconds = millis as f64 / 1000.0;
    seconds
}

/// What runs here.
pub(super) fn build(page: &mut Page) {
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    page.gauge("build_info", "The version of the program", vec![(version, 1.0)]);
}

/// What this process goes by.
pub(super) fn snapshot(page: &mut Page, snapshot: &TrustSnapshot, now: Timestamp) {
    page.gauge("snapshot_epoch", "Epoch of the trust snapshot in force", one(float(snapshot.version.epoch)));
    let age = -seconds_until(snapshot.made_at, now);
    page.gauge("snapshot_age_seconds", "How long ago the trust snapshot in force was made", one(age));
}

/// What the doors of this process count.
pub(super) fn doors(page: &mut Page, doors: &BTreeMap<NamedDoor, DoorNumbers>) {
    let label = |(kind, name): &NamedDoor| vec![("door", name.clone()), ("kind", (*kind).to_owned())];
    let each = |value: fn(&DoorNumbers) -> u64| -> Vec<(Labels, u64)> {
        doors.iter().map(|(door, numbers)| (label(door), value(numbers))).collect()
    };
    page.counter("handshakes", "Handshakes that led to a connection", each(|door| door.handshakes));
    let unfinished = each(|door| door.unfinished);
    page.counter("handshakes_unfinished", "Handshakes that were neither finished nor refused", unfinished);
    let open = each(|door| door.open).into_iter().map(|(labels, open)| (labels, float(open))).collect();
    page.gauge("connections", "Connections that are open", open);
    let mut requests = Vec::new();
    let mut codes = Vec::new();
    for (door, numbers) in doors {
        requests.extend(numbers.requests.iter().map(|((class, digit), count)| {
            let more = [("route", class.as_str().to_owned()), ("status", format!("{digit}xx"))];
            (label(door).into_iter().chain(more).collect(), *count)
        }));
        codes.extend(numbers.codes.iter().map(|((outcome, code), count)| {
            let more = [("outcome", outcome.as_str().to_owned()), ("code", code.clone())];
            (label(door).into_iter().chain(more).collect(), *count)
        }));
    }
    page.counter("requests", "Requests that were answered", requests);
    page.counter("refusals", "Connections and requests with a code, by what became of them", codes);
}

/// How it goes with the certificate from a public CA.
pub(super) fn acquiring(page: &mut Page, acquiring: Option<Acquiring>, now: Timestamp) {
    let ends = acquiring.and_then(|acquiring| acquiring.expires_at);
    let ends = ends.map(|end| (Labels::new(), seconds_until(end, now))).into_iter().collect();
    page.gauge("acme_expires_seconds", "How long until the certificate by ACME ends", ends);
    let failures = acquiring.map(|acquiring| (Labels::new(), f64::from(acquiring.failures)));
    let failures = failures.into_iter().collect();
    page.gauge("acme_failures", "How often in a row no certificate was obtained by ACME", failures);
}

/// What the database does.
pub(super) fn store(page: &mut Page, numbers: &StoreNumbers) {
    page.counter("database_changes", "Changes that were asked of the database", one(numbers.changes));
    let failed = one(numbers.failed);
    page.counter("database_commits_failed", "Groups of changes that were not committed", failed);
    let commits = &numbers.commits;
    let inside: u64 = commits.buckets.iter().sum();
    let rest = (f64::INFINITY, commits.count.saturating_sub(inside));
    let buckets = COMMIT_BUCKETS.into_iter().zip(commits.buckets).chain([rest]).collect();
    let help = "How long groups of changes took, up to the commit";
    page.histogram("database_commit_seconds", help, (commits.seconds, commits.count, buckets));
    page.gauge("database_writes_waiting", "Changes that wait for the writer", one(float(numbers.waiting)));
    let (all, idle) = numbers.readers;
    let busy = f64::from(all.saturating_sub(idle));
    let state = |word: &str| vec![("state", word.to_owned())];
    let readers = vec![(state("busy"), busy), (state("idle"), f64::from(idle))];
    page.gauge("database_readers", "Connections of the database that read", readers);
    let event = |event: &str| vec![("event", event.to_owned())];
    let entries = commits.entries.iter().map(|(name, count)| (event(name), *count)).collect();
    page.counter(
        "audit_events",
        "Entries of the audit that this process wrote: enrolments, renewals, decisions, refusals",
        entries,
    );
}

/// What there is in the installation, and when it ends.
pub(super) fn installation(page: &mut Page, census: &Census, now: Timestamp) {
    let label = |name: &'static str, value: &dyn ToString| vec![(name, value.to_string())];
    let rows = &census.rows;
    let devices = rows.devices.iter().map(|(status, count)| (label("status", status), float(*count)));
    page.gauge("devices", "Devices by where they stand", devices.collect());
    let certificates = rows.certificates.iter().map(|(state, count)| (label("state", state), float(*count)));
    page.gauge("certificates", "Certificates of devices by where they stand", certificates.collect());
    let ending = ENDS_WITHIN.iter().zip(&rows.ending);
    let ending = ending.map(|((within, _), count)| (label("within", within), float(*count))).collect();
    page.gauge("certificates_ending", "Active certificates of devices that end within a time", ending);
    page.gauge("audit_entries", "Entries of the audit", one(float(rows.audit_entries)));
    let cas = census.cas.iter().map(|(ca, end)| (label("ca", ca), seconds_until(*end, now)));
    page.gauge("ca_expires_seconds", "How long until a CA ends", cas.collect());
    let age = census.lists.iter().map(|(ca, (since, _))| (label("ca", ca), -seconds_until(*since, now)));
    page.gauge("crl_age_seconds", "How old the oldest revocation list of a CA is", age.collect());
    let due = census.lists.iter().map(|(ca, (_, until))| (label("ca", ca), seconds_until(*until, now)));
    page.gauge("crl_due_seconds", "How long until the first revocation list of a CA is over", due.collect());
    let edges = census.edges.iter().map(|(status, count)| (label("status", &status.as_str()), float(*count)));
    page.gauge("edges", "Edges that run elsewhere, by how they are doing", edges.collect());
    let streams = || census.streams.iter().map(|stream| (label("stream", &stream.row.name), stream));
    let behind = streams().map(|(labels, stream)| (labels, float(stream.behind))).collect();
    page.gauge("audit_stream_behind", "Entries of the audit that have not reached a copy", behind);
    let age = |stream: &StreamStatus| stream.oldest.map_or(0.0, |oldest| -seconds_until(oldest, now));
    let lag = streams().map(|(labels, stream)| (labels, age(stream))).collect();
    page.gauge("audit_stream_lag_seconds", "How old the first entry is that has not reached a copy", lag);
    let lag = one(float(census.edge_lag));
    page.gauge("edge_lag_epochs", "How many epochs the last of the attached edges is behind", lag);
}
