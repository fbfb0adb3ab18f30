//! `/console/messages`: what devices sent over MQTT, as it arrives, and what was set aside and why.

use axum::extract::State;
use axum::response::Response;
use countersign_authority::ingest::{
    MessagePart, SetAsideFilter, SetAsideRow, TelemetryFilter, TelemetryRow,
};
use countersign_authority::{Operate, View};
use maud::{Markup, html};

use crate::console::flash::{Flash, Tone};
use crate::console::icons::Icon;
use crate::console::layout::{live, page};
use crate::console::parts::{ago, empty, exactly, fact, head, pager, pill, short};
use crate::console::visit::Visit;
use crate::console::words::{ingest_reason, number_of};
use crate::failure::{Failure, Outcome};
use crate::request::{QueryFields, Segment, named};
use crate::state::ControlPlane;

/// How many messages are on a page.
const ON_A_PAGE: u32 = 50;

/// How much of a payload stands in a list.
const SHOWN: usize = 160;

const TITLE: &str = "Messages";

/// Telemetry, newest first.
pub(in crate::console) async fn telemetry(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(mut query): QueryFields,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let before = before(&mut query);
    query.finish()?;
    let part = before.map_or(MessagePart::Newest, MessagePart::Before);
    let filter =
        TelemetryFilter { tenant: visit.tenant_id(), part, limit: ON_A_PAGE, ..TelemetryFilter::default() };
    let rows = state.authority.telemetry(&by, filter).await?;
    let nothing = (
        "No message yet",
        "What devices publish at the MQTT door below telemetry is here, once it was checked and kept.",
    );
    let list = List { title: TITLE, id: "telemetry", path: "/console/messages", nothing };
    let table = (!rows.is_empty()).then(|| telemetry_table(&visit, &rows));
    Ok(list.page(&visit, table, (before, next_of(&rows, |row| row.id))))
}

fn telemetry_table(visit: &Visit, rows: &[TelemetryRow]) -> Markup {
    html! {
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "Device" }
                        th scope="col" { "Received" }
                        th scope="col" { "Topic" }
                        th scope="col" { "What it says" }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            td class="main" {
                                a href={ "/console/devices/" (row.device) } { (row.device_name) }
                                @if visit.shows_tenants() { p class="soft" { (row.tenant_slug) } }
                            }
                            td data-label="Received" { (ago(visit.now, row.received_at)) }
                            td data-label="Topic" {
                                code { (row.topic) }
                                @if row.duplicate_of.is_some() { p { span class="tag" { "sent before" } } }
                            }
                            td data-label="What it says" { (cut(&row.payload)) }
                        }
                    }
                }
            }
        }
    }
}

/// The messages that were set aside, newest first.
pub(in crate::console) async fn set_aside(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(mut query): QueryFields,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let before = before(&mut query);
    query.finish()?;
    let filter = SetAsideFilter { tenant: visit.tenant_id(), reason: None, before, limit: ON_A_PAGE };
    let rows = state.authority.messages_set_aside(&by, filter).await?;
    let nothing = (
        "Nothing was set aside",
        "Messages that are not what their device may say, or that nobody can read, would be here with the reason.",
    );
    let list = List { title: "Messages set aside", id: "aside", path: "/console/messages/aside", nothing };
    let table = (!rows.is_empty()).then(|| aside_table(&visit, &rows));
    Ok(list.page(&visit, table, (before, next_of(&rows, |row| row.id))))
}

fn aside_table(visit: &Visit, rows: &[SetAsideRow]) -> Markup {
    html! {
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "Sent by" }
                        th scope="col" { "Why" }
                        th scope="col" { "Topic" }
                        th scope="col" { "Received" }
                        th scope="col" { span class="spoken" { "Look" } }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            td class="main" {
                                (sender(row))
                                @if visit.shows_tenants() { p class="soft" { (row.tenant_slug) } }
                            }
                            td data-label="Why" {
                                (ingest_reason(&row.reason))
                                p class="soft" { code { (row.reason) } }
                            }
                            td data-label="Topic" { code { (row.topic) } }
                            td data-label="Received" {
                                (ago(visit.now, row.received_at))
                                @if row.released.is_some() { p { (pill("good", "released")) } }
                            }
                            td class="decide" {
                                a class="button" href={ "/console/messages/aside/" (row.id) } {
                                    "Look" span class="spoken" { " at message " (row.id) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn sender(row: &SetAsideRow) -> Markup {
    html! {
        @match row.device {
            Some(device) => { a href={ "/console/devices/" (device) } { (row.device_name) } }
            None => { (row.device_name) }
        }
    }
}

/// One message that was set aside.
pub(in crate::console) async fn one(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let row = state.authority.message_set_aside(&by, named(&id, "message")?).await?;
    let is_whole = row.payload.len() as u64 == row.payload_bytes;
    let line = html! { (ingest_reason(&row.reason)) };
    let body = html! {
        (head(format!("Message {}", row.id), line, html! { a class="button quiet" href="/console/messages/aside" { "All of them" } }))
        section class="panel" {
            dl class="facts" {
                (fact("Sent by", sender(&row)))
                (fact("Tenant", html! { (row.tenant_slug) }))
                (fact("Certificate", short(&row.certificate.serial.to_string())))
                (fact("Reason", html! { code { (row.reason) } }))
                (fact("Topic it named", html! { code { (row.topic) } }))
                (fact("QoS", row.qos))
                (fact("Received", exactly(row.received_at)))
                (fact("Bytes", number_of(row.payload_bytes)))
            }
        }
        section class="panel" {
            h2 { "What it says" }
            @if !is_whole { p class="soft" { "The first " (number_of(row.payload.len() as u64)) " bytes of it." } }
            pre class="payload" tabindex="0" aria-label="Payload" { (String::from_utf8_lossy(&row.payload)) }
        }
        (released(&visit, &row, is_whole))
    };
    Ok(page(&visit, "A message set aside", &body))
}

fn released(visit: &Visit, row: &SetAsideRow, is_whole: bool) -> Markup {
    html! {
        @if let Some((at, telemetry)) = row.released {
            p class="notice good" { "Released " (ago(visit.now, at)) " as telemetry " (telemetry) "." }
        } @else if visit.can::<Operate>() && is_whole && row.device.is_some() {
            form class="panel narrow" method="post" action={ "/console/messages/aside/" (row.id) "/release" } {
                (visit.csrf())
                h2 { "Take it after all" }
                ul class="means" {
                    li { "It becomes telemetry of " strong { (row.device_name) } ", received when it was." }
                    li { "The audit says that you released it. Nothing is sent to the device." }
                }
                div class="actions" { button class="primary" { "Release the message" } }
            }
        }
    }
}

/// Takes a message as telemetry after all.
pub(in crate::console) async fn release(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<Operate>()?;
    let released = state.authority.release_message(&by, named(&id, "message")?).await.map_err(Failure::from);
    let flash = match released {
        Ok(telemetry) => Flash::new(Tone::Good, format!("Released as telemetry {telemetry}.")),
        Err(failure) if failure.status == http::StatusCode::CONFLICT => {
            Flash::new(Tone::Bad, format!("{}.", failure.body.error))
        }
        Err(failure) => return Err(failure),
    };
    Ok(flash.then(&format!("/console/messages/aside/{id}")))
}

/// What one of the two lists is called, where it is, and what stands there while it is empty.
struct List {
    title: &'static str,
    id: &'static str,
    path: &'static str,
    nothing: (&'static str, &'static str),
}

impl List {
    /// A page of it: from before a message on, and on to those before the last one.
    fn page(
        &self,
        visit: &Visit,
        table: Option<Markup>,
        (before, last): (Option<u64>, Option<u64>),
    ) -> Response {
        let (title, text) = self.nothing;
        let nothing = || html! { div class="panel" { (empty(Icon::Messages, title, text, html! {})) } };
        let next = last.map(|last| format!("{}?before={last}", self.path));
        let body = html! {
            (top(visit, self.path))
            (live(self.id, "devices", &table.unwrap_or_else(nothing)))
            (pager(before.map(|_id| self.path), next.as_deref()))
        };
        page(visit, self.title, &body)
    }
}

/// The head of both lists, with the way to the other.
fn top(visit: &Visit, here: &str) -> Markup {
    let lists = [("/console/messages", "Arrived"), ("/console/messages/aside", "Set aside")];
    let connected = visit.tenant.as_ref().map_or("", |_one| " of this tenant");
    html! {
        (head(TITLE, format!("What devices{connected} sent over MQTT."), html! {}))
        nav class="tabs" aria-label="Lists of messages" {
            @for (path, name) in lists { a href=(path) aria-current=[(path == here).then_some("page")] { (name) } }
        }
    }
}

fn before(query: &mut crate::fields::Fields) -> Option<u64> {
    query.read("before", |text| text.parse().map_err(|_invalid| "must be a whole number"))
}

/// The last one on this page, if it is full.
fn next_of<T>(rows: &[T], id: impl Fn(&T) -> u64) -> Option<u64> {
    rows.last().filter(|_last| rows.len() as u64 >= u64::from(ON_A_PAGE)).map(id)
}

fn cut(payload: &str) -> Markup {
    let shown: String = payload.chars().take(SHOWN).collect();
    html! { code title=(payload) { (shown) @if shown.len() < payload.len() { "…" } } }
}
