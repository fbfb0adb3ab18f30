//! GET `/console/audit` and `/console/audit/export`: who did what, found by event, actor, device and time.

use std::collections::{BTreeSet, HashMap};

use axum::extract::State;
use axum::response::Response;
use countersign_authority::audit::{AuditFilter, AuditRecord, ChainScope};
use countersign_authority::audit_export::ExportFormat;
use countersign_authority::devices::LookError;
use countersign_authority::{Administer, View};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;
use maud::{Markup, html};

use super::audit_standing::standing;
use crate::admin::audit_export::file;
use crate::admin::lists::cursor;
use crate::console::icons::Icon;
use crate::console::layout::{live, page as framed};
use crate::console::parts::{ago, empty, head, pager, path_of, short};
use crate::console::visit::Visit;
use crate::console::words;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::QueryFields;
use crate::state::ControlPlane;

/// How many entries are on a page.
const ON_A_PAGE: u32 = 50;

/// How many facts of an entry are shown at once, how much of each, and how much when asked.
const AT_A_GLANCE: usize = 3;
const CUT: usize = 28;
const WHOLE: usize = 300;

/// What is looked for, as it was written.
struct Wanted {
    event: Option<String>,
    actor: Option<String>,
    device: Option<String>,
    from: Option<String>,
    to: Option<String>,
    is_first: bool,
}

/// Who and what entries are about, by name.
struct Names {
    devices: HashMap<DeviceId, String>,
    people: HashMap<String, String>,
}

/// The explorer.
pub(in crate::console) async fn page(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(fields): QueryFields,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let (wanted, filter) = read(fields, &visit)?;
    let records = state.authority.audit(&by, filter).await?;
    let names = names(&state, &visit, &records).await?;
    let is_full = records.len() >= ON_A_PAGE as usize;
    let next = records.last().filter(|_| is_full).map(|last| wanted.path(Some(&last.id.to_string())));
    let first = (!wanted.is_first).then(|| wanted.path(None));
    let export = html! {
        a class="button" href="/console/audit/export" { "Export as JSON lines" }
        a class="button" href="/console/audit/export?format=csv" { "CSV" }
    };
    let standing = standing(&state, &visit).await?;
    let line = "Every change of state and every refusal, chained so that nothing can be taken out unseen.";
    let body = html! {
        (head("Audit", line, export))
        (search(&wanted))
        (live("entries", "audit", &html! {
            @if records.is_empty() {
                div class="panel" {
                    (empty(Icon::Audit, "Nothing found", "No entry is like that.", html! {
                        a class="button" href="/console/audit" { "Show every entry" }
                    }))
                }
            } @else {
                (table(&visit, &records, &names))
            }
            (pager(first.as_deref(), next.as_deref()))
        }))
        (standing)
    };
    Ok(framed(&visit, "Audit", &body))
}

fn read(mut fields: Fields, visit: &Visit) -> Outcome<(Wanted, AuditFilter)> {
    let wanted = Wanted {
        event: fields.text("event", 64),
        actor: fields.text("actor", 200),
        device: fields.text("device", 36),
        from: fields.text("from", 32),
        to: fields.text("to", 32),
        is_first: !fields.has("cursor"),
    };
    let named = |name: &str| AuditEvent::ALL.iter().copied().find(|event| event.as_str() == name);
    let event = wanted.event.as_deref().map(|name| named(name).ok_or("is not the name of an event"));
    let device = wanted.device.as_deref().map(|id| id.parse().map_err(|_unreadable| "must be a device’s id"));
    let since = wanted.from.as_deref().map(moment);
    let until = wanted.to.as_deref().map(moment);
    let filter = AuditFilter {
        scope: scope(visit),
        event: kept(&mut fields, "event", event),
        actor: wanted.actor.clone(),
        device: kept(&mut fields, "device", device),
        certificate: None,
        request: None,
        since: kept(&mut fields, "from", since),
        until: kept(&mut fields, "to", until),
        limit: ON_A_PAGE,
        before: cursor(&mut fields),
        up_to: None,
    };
    fields.finish()?;
    Ok((wanted, filter))
}

fn kept<T>(fields: &mut Fields, name: &str, read: Option<Result<T, &'static str>>) -> Option<T> {
    match read? {
        Ok(value) => Some(value),
        Err(problem) => {
            fields.problem(name, problem);
            None
        }
    }
}

/// A moment as browsers send it, in UTC.
fn moment(text: &str) -> Result<Timestamp, &'static str> {
    let whole = if text.len() == 16 { format!("{text}:00Z") } else { text.to_owned() };
    Timestamp::parse(&whole).map_err(|_unreadable| "must be a time such as 2026-05-12T10:00")
}

/// The chains that the page is about.
pub(super) fn scope(visit: &Visit) -> ChainScope {
    visit.tenant.as_ref().map_or(ChainScope::All, |tenant| ChainScope::Tenant(tenant.slug.clone()))
}

impl Wanted {
    fn path(&self, cursor: Option<&str>) -> String {
        let wanted = [
            ("event", self.event.as_deref()),
            ("actor", self.actor.as_deref()),
            ("device", self.device.as_deref()),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("cursor", cursor),
        ];
        path_of("/console/audit", &wanted)
    }

    const fn is_everything(&self) -> bool {
        let who = self.event.is_none() && self.actor.is_none() && self.device.is_none();
        who && self.from.is_none() && self.to.is_none()
    }
}

async fn names(state: &ControlPlane, visit: &Visit, records: &[AuditRecord]) -> Outcome<Names> {
    let by = visit.may::<View>()?;
    let ids: BTreeSet<DeviceId> = records.iter().filter_map(|record| record.device).collect();
    let mut devices = HashMap::new();
    for id in ids {
        match state.authority.device(&by, id).await {
            Ok(device) => drop(devices.insert(id, device.name.to_string())),
            Err(LookError::Unknown | LookError::Forbidden(_)) => {}
            Err(error @ LookError::Store(_)) => return Err(error.into()),
        }
    }
    let mut people = HashMap::from([(visit.person.id.to_string(), visit.person.email.clone())]);
    if let Ok(by) = visit.may::<Administer>() {
        let all = state.authority.list_users(&by).await.map_err(|error| Failure::internal(&error))?;
        people.extend(all.into_iter().map(|user| (user.row.id.to_string(), user.row.email)));
    }
    Ok(Names { devices, people })
}

fn search(wanted: &Wanted) -> Markup {
    html! {
        form class="search" method="get" action="/console/audit" role="search" {
            div {
                label class="spoken" for="event" { "Event" }
                select id="event" name="event" data-submits {
                    option value="" { "Every event" }
                    @for event in AuditEvent::ALL {
                        option value=(event) selected[wanted.event.as_deref() == Some(event.as_str())] {
                            (words::event(event.as_str()))
                        }
                    }
                }
            }
            div class="grow" {
                label class="spoken" for="device" { "Device id" }
                input id="device" name="device" value=[wanted.device.as_deref()] maxlength="36" placeholder="Device id";
            }
            div class="grow" {
                label class="spoken" for="actor" { "Who" }
                input id="actor" name="actor" value=[wanted.actor.as_deref()] maxlength="200"
                    placeholder="Who: system, user:…, device:…";
            }
            div {
                label class="spoken" for="from" { "From, in UTC" }
                input id="from" name="from" type="datetime-local" value=[wanted.from.as_deref()];
            }
            div {
                label class="spoken" for="to" { "Until, in UTC" }
                input id="to" name="to" type="datetime-local" value=[wanted.to.as_deref()];
            }
            button { "Search" }
            @if !wanted.is_everything() { a class="button quiet" href="/console/audit" { "Clear" } }
        }
    }
}

fn table(visit: &Visit, records: &[AuditRecord], names: &Names) -> Markup {
    html! {
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "When" }
                        th scope="col" { "What" }
                        th scope="col" { "Who" }
                        th scope="col" { "About" }
                        @if visit.shows_tenants() { th scope="col" { "Chain" } }
                        th scope="col" { "Details" }
                    }
                }
                tbody {
                    @for record in records {
                        tr {
                            td data-label="When" { (ago(visit.now, record.at)) }
                            td class="main" { (words::event(record.event.as_str())) }
                            td data-label="Who" { (actor(&record.actor, names)) }
                            td data-label="About" { (about(record, names)) }
                            @if visit.shows_tenants() {
                                td data-label="Chain" {
                                    @match &record.tenant {
                                        Some(tenant) => (tenant),
                                        None => span class="soft" { "platform" },
                                    }
                                }
                            }
                            td class="details" { (details(record)) }
                        }
                    }
                }
            }
        }
    }
}

/// Who did it, by name where that is known.
fn actor(text: &str, names: &Names) -> Markup {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let (id, token) = rest.split_once("/token:").map_or((rest, None), |(id, token)| (id, Some(token)));
    let device = || names.devices.get(&id.parse::<DeviceId>().ok()?);
    html! {
        @match kind {
            "user" => {
                @match names.people.get(id) {
                    Some(email) => (email),
                    None => { "person " (short(id)) },
                }
                @if token.is_some() { span class="soft" { " by API token" } }
            },
            "device" => {
                @match device() {
                    Some(name) => { "device " (name) },
                    None => { "device " (short(id)) },
                }
            },
            "peer" => code { (rest) },
            "system" => span class="soft" { "the platform" },
            _ => (text),
        }
    }
}

fn about(record: &AuditRecord, names: &Names) -> Markup {
    let Some(id) = record.device else { return html! {} };
    match names.devices.get(&id) {
        Some(name) => html! { a href={ "/console/devices/" (id) } { (name) } },
        None => short(&id.to_string()),
    }
}

/// The first of the facts, and all of them where there are more.
fn details(record: &AuditRecord) -> Markup {
    let is_long =
        record.details.len() > AT_A_GLANCE || record.details.values().any(|value| value.len() > CUT);
    html! {
        (facts(record.details.iter().take(AT_A_GLANCE), CUT))
        @if is_long {
            details { summary { "Everything" } (facts(record.details.iter(), WHOLE)) }
        }
    }
}

fn facts<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>, most: usize) -> Markup {
    html! {
        dl class="pairs" {
            @for (name, value) in pairs { div { dt { (name) } dd { (cut(value, most)) } } }
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    let is_long = text.chars().count() > most;
    let end = if is_long { "…" } else { "" };
    text.chars().take(most).chain(end.chars()).collect()
}

/// The entries of the chains that the page is about, as a file.
pub(in crate::console) async fn export(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let format = match fields.text("format", 8).as_deref() {
        Some("csv") => ExportFormat::Csv,
        Some(_) | None => ExportFormat::JsonLines,
    };
    let filter = AuditFilter { scope: scope(&visit), ..AuditFilter::default() };
    let export = state.authority.export_audit(&by, (filter, format)).await?;
    Ok(file(export, state.authority.now()))
}
