//! `/console/edges`: the processes that run doors elsewhere, how far each has followed, and adding and revoking one.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::edges::add::{AddedEdge, EdgeStatus, ListedEdge, WantedEdge};
use countersign_authority::{Administer, View};
use countersign_core::ids::{EdgeId, EdgeName};
use maud::{Markup, html};

use crate::console::error_page::Rendered;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::icons::Icon;
use crate::console::layout::{live, page};
use crate::console::parts::{ago, ago_or, applied, copyable, empty, exactly, head, pill, problems};
use crate::console::visit::Visit;
use crate::console::words::{count, number_of};
use crate::edges::admin::check_public_names;
use crate::failure::{Failure, Outcome};
use crate::request::{Segment, named};
use crate::state::ControlPlane;

/// How long the token of a new edge works.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// Every edge that is not revoked.
pub(in crate::console) async fn list(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let line =
        "Processes that run doors elsewhere. What is decided here is in force at each within a second.";
    if !visit.is_unbound() {
        let text = "Edges serve the whole installation. Somebody who is bound to no tenant sees them.";
        let body = html! {
            (head("Edges", line, html! {}))
            div class="panel" { (empty(Icon::Edges, "Not for one tenant", text, html! {})) }
        };
        return Ok(page(&visit, "Edges", &body));
    }
    let edges = state.authority.list_edges(&by).await?;
    let epoch = state.authority.snapshot().version.epoch;
    let action = html! {
        @if visit.can::<Administer>() { a class="button primary" href="/console/edges/new" { "Add an edge" } }
    };
    let body = html! {
        (head("Edges", line, &action))
        (live("edges", "edges devices certificates", &html! {
            @if edges.is_empty() {
                div class="panel" {
                    (empty(
                        Icon::Edges,
                        "No edge elsewhere",
                        "The doors of this process need none. An edge runs doors on another machine, knows what is \
                         decided here, and goes on while this server is away.",
                        &action,
                    ))
                }
            } @else {
                (table(&visit, &edges, epoch))
            }
        }))
    };
    Ok(page(&visit, "Edges", &body))
}

fn table(visit: &Visit, edges: &[ListedEdge], epoch: u64) -> Markup {
    html! {
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "Edge" }
                        th scope="col" { "State" }
                        th scope="col" { "Follows" }
                        th scope="col" { "Load" }
                        th scope="col" { "Heard of" }
                        th scope="col" { "Serves" }
                        th scope="col" { span class="spoken" { "Revoke" } }
                    }
                }
                tbody {
                    @for edge in edges {
                        tr {
                            td class="main" {
                                (edge.row.name)
                                @for name in &edge.row.public_names { p class="soft" { code { (name) } } }
                            }
                            td data-label="State" { (state_of(edge.status)) }
                            td data-label="Follows" { (follows(edge, epoch)) }
                            td data-label="Load" { (load(edge)) }
                            td data-label="Heard of" {
                                (ago_or(visit.now, edge.row.attachment.seen_at, "never"))
                                @if let Some(since) = edge.row.attachment.since {
                                    p class="soft" { "attached " (ago(visit.now, since)) }
                                }
                            }
                            td data-label="Serves" {
                                @match &edge.row.tenants {
                                    None => { "every tenant" }
                                    Some(tenants) => {
                                        @for tenant in tenants { span class="tag" { (tenant) } }
                                    }
                                }
                            }
                            td class="decide" {
                                @if visit.can::<Administer>() {
                                    a class="button" href={ "/console/edges/" (edge.row.id) "/revoke" } {
                                        "Revoke…" span class="spoken" { " " (edge.row.name) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn state_of(status: EdgeStatus) -> Markup {
    match status {
        EdgeStatus::Attached => pill("good", "attached"),
        EdgeStatus::Silent => pill("bad", "cannot be reached"),
        EdgeStatus::Detached => pill("still", "away"),
        EdgeStatus::Waiting => pill("info", "has not enrolled yet"),
        EdgeStatus::Lapsed => pill("warn", "its token is over"),
    }
}

/// How far an edge has followed what was decided.
fn follows(edge: &ListedEdge, epoch: u64) -> Markup {
    let own = edge.row.attachment.applied.epoch;
    html! {
        @if edge.row.enrolled_at.is_none() {
            span class="soft" { "nothing yet" }
        } @else if own >= epoch {
            "everything"
        } @else {
            span class="bad" { (count(epoch - own, "change behind", "changes behind")) }
        }
        @if edge.row.enrolled_at.is_some() { p class="soft" { "epoch " (number_of(own)) " of " (number_of(epoch)) } }
    }
}

/// How busy an edge is that can be reached.
fn load(edge: &ListedEdge) -> Markup {
    let load = edge.row.load.filter(|_load| edge.status == EdgeStatus::Attached);
    html! {
        @if let Some((load, _at)) = load {
            (count(load.connections, "connection", "connections"))
            p class="soft" {
                (count(load.handshakes_per_minute, "handshake", "handshakes")) ", "
                (count(load.requests_per_minute, "request", "requests")) " a minute"
            }
        } @else {
            span class="soft" { "not known" }
        }
    }
}

/// The page on which an edge is added.
pub(in crate::console) async fn form(visit: Visit) -> Outcome<Response> {
    visit.may::<Administer>()?.covers_all()?;
    Ok(entry(&visit, &Form::default(), None))
}

fn entry(visit: &Visit, given: &Form, failure: Option<&Failure>) -> Response {
    let value = |name: &str| given.first(name).unwrap_or("");
    let body = html! {
        (head("Add an edge", "It enrols once, with a token that you are shown next.", html! {}))
        form class="panel narrow" method="post" action="/console/edges/new" {
            (visit.csrf())
            (problems(failure))
            div class="field" {
                label for="name" { "Name" }
                input id="name" name="name" required maxlength="63" value=(value("name")) placeholder="fra-1";
            }
            div class="field" {
                label for="publicNames" { "Names of its doors" }
                input id="publicNames" name="publicNames" value=(value("publicNames"))
                    placeholder="edge.example.com, 192.0.2.7";
                p class="hint" { "Host names and addresses that devices reach it by, with commas." }
            }
            div class="field" {
                label for="tenants" { "Tenants" }
                input id="tenants" name="tenants" value=(value("tenants")) placeholder="all";
                p class="hint" { "It knows of these alone, with commas. Empty: of every tenant." }
            }
            div class="actions" {
                button class="primary" { "Add the edge" }
                a class="button quiet" href="/console/edges" { "Cancel" }
            }
        }
    };
    page(visit, "Add an edge", &body)
}

/// Adds an edge, and shows its token this once.
pub(in crate::console) async fn create(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    by.covers_all()?;
    let added = match read(&form) {
        Ok(wanted) => state.authority.add_edge(&by, wanted).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match added {
        Ok(added) => Ok(shown_once(&state, &visit, &added)),
        Err(failure) if failure.status.is_client_error() => {
            let shown = entry(&visit, &form, Some(&failure));
            Ok(Rendered::instead(failure, shown))
        }
        Err(failure) => Err(failure),
    }
}

fn read(form: &Form) -> Outcome<WantedEdge> {
    let mut fields = form.fields(&["publicNames", "tenants"]);
    let listed = |name| {
        let text = form.first(name).unwrap_or("");
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let name: Option<EdgeName> = fields.required_parsed("name");
    let public_names = listed("publicNames");
    check_public_names(&mut fields, &public_names);
    fields.refuse_unknown();
    fields.finish()?;
    let name = name.ok_or_else(|| Failure::invalid_field("name", "is missing"))?;
    Ok(WantedEdge { name, tenants: listed("tenants"), public_names, life: TOKEN_LIFE })
}

fn shown_once(state: &ControlPlane, visit: &Visit, added: &AddedEdge) -> Response {
    let until = added.row.token_expires_at;
    let body = html! {
        (head("The edge is added", html! { (added.row.name) " may enrol until " (exactly(until)) "." }, html! {}))
        section class="panel narrow" {
            p class="notice" { "The token is shown this once. Copy it before you leave this page." }
            h2 { "Its token, to be put into a file" }
            (copyable("token", &added.token))
            h2 { "Then run this on its machine" }
            (copyable("command", &state.edge_command()))
            p class="soft" { "The token enrols one edge. The fingerprint is that of this installation’s root." }
            div class="actions" {
                a class="button primary" href="/console/edges" { "Watch it appear" }
            }
        }
    };
    page(visit, "The edge is added", &body)
}

/// Asks before an edge is revoked.
pub(in crate::console) async fn confirm_revoke(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    visit.may::<Administer>()?.covers_all()?;
    let id: EdgeId = named(&id, "edge")?;
    let edges = state.authority.list_edges(&visit.may::<View>()?).await?;
    let edge = edges.iter().find(|edge| edge.row.id == id).ok_or_else(|| Failure::not_found("edge"))?;
    let body = html! {
        (head(format!("Revoke the edge {}?", edge.row.name), state_of(edge.status), html! {}))
        form class="panel narrow" method="post" action={ "/console/edges/" (id) "/revoke" } {
            (visit.csrf())
            ul class="means" {
                li { "Its certificates and those of its doors are revoked, and its connection is cut." }
                li { "It hears nothing any more: what is decided from now on is not in force there." }
                li { "Stop its process, or take it off the network: until then its doors go by what they know." }
                li { "It does not come back. Add another edge, under another name, in its place." }
            }
            div class="actions" {
                button class="danger" { "Revoke the edge" }
                a class="button quiet" href="/console/edges" { "Cancel" }
            }
        }
    };
    Ok(page(&visit, "Revoke an edge", &body))
}

/// Revokes an edge.
pub(in crate::console) async fn revoke(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    let revoked = state.authority.revoke_edge(&by, named(&id, "edge")?).await?;
    Ok(Flash::new(Tone::Good, format!("The edge is revoked. {}", applied(revoked.applied)))
        .then("/console/edges"))
}
