//! GET `/console/certificates` and `/console/cas`: what is trusted.

use axum::extract::State;
use axum::response::Response;
use countersign_authority::View;
use countersign_authority::cas::{CaFacts, IssuerRole, IssuerState, KeyAtHand, Origin};
use countersign_authority::devices::{CertificateFilter, CertificatePage};
use countersign_core::certificate::CertificateState;
use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;
use maud::{Markup, html};

use crate::admin::lists::cursor;
use crate::console::icons::Icon;
use crate::console::layout::{live, page as framed};
use crate::console::parts::{ago, certificate_state, empty, exactly, fact, head, pager, pill, short, until};
use crate::console::visit::Visit;
use crate::failure::Outcome;
use crate::request::QueryFields;
use crate::state::ControlPlane;

/// How many certificates are on a page.
const ON_A_PAGE: u32 = 50;

/// Certificates of devices, the newest first.
pub(in crate::console) async fn certificates(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let is_first = !fields.has("cursor");
    let wanted: Option<CertificateState> = fields.parsed("state");
    let serial = fields.peek("serial");
    let filter = CertificateFilter {
        tenant: visit.tenant_id(),
        state: wanted,
        serial: fields.parsed("serial"),
        limit: ON_A_PAGE,
        after: cursor(&mut fields),
        ..CertificateFilter::default()
    };
    fields.finish()?;
    let found = state.authority.list_certificates(&by, filter).await?;
    let state_part = wanted.map_or(String::new(), |state| format!("state={state}&"));
    let next = found.next.map(|next| format!("/console/certificates?{state_part}cursor={next}"));
    let first = (!is_first).then(|| format!("/console/certificates?{state_part}"));
    let body = html! {
        (head("Certificates", "Every certificate that a device was given, the newest first.", html! {}))
        form class="search" method="get" action="/console/certificates" role="search" {
            div {
                label class="spoken" for="state" { "State" }
                select id="state" name="state" data-submits {
                    option value="" { "Every state" }
                    @for state in CertificateState::ALL {
                        option value=(state) selected[wanted == Some(state)] { (state.as_str().replace('_', " ")) }
                    }
                }
            }
            div class="grow" {
                label class="spoken" for="serial" { "Serial number" }
                input id="serial" name="serial" value=[serial.as_deref()] maxlength="64" placeholder="Serial number";
            }
            button { "Show" }
        }
        (live("certificates", "certificates", &html! {
            @if found.certificates.is_empty() {
                div class="panel" {
                    (empty(Icon::Certificate, "No such certificate", "None is in this state.", html! {}))
                }
            } @else {
                (certificate_table(&visit, &found))
            }
            (pager(first.as_deref(), next.as_deref()))
        }))
    };
    Ok(framed(&visit, "Certificates", &body))
}

fn certificate_table(visit: &Visit, found: &CertificatePage) -> Markup {
    html! {
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "Device" }
                        th scope="col" { "State" }
                        th scope="col" { "Issued" }
                        th scope="col" { "Ends" }
                        th scope="col" { "Serial" }
                        th scope="col" { "Key" }
                    }
                }
                tbody {
                    @for row in &found.certificates {
                        tr {
                            td class="main" {
                                a href={ "/console/devices/" (row.device) } { (row.device_name) }
                                @if visit.shows_tenants() { p class="soft" { (row.tenant) } }
                            }
                            td data-label="State" {
                                (certificate_state(row.state))
                                @if let Some(reason) = row.reason { p class="soft" { (reason) } }
                            }
                            td data-label="Issued" { (ago(visit.now, row.lifetime.issued_at)) }
                            td data-label="Ends" { (until(visit.now, row.lifetime.expires_at)) }
                            td data-label="Serial" { (short(&row.reference.serial.to_string())) }
                            td data-label="Key" { (short(&row.spki.to_string())) }
                        }
                    }
                }
            }
        }
    }
}

/// The CAs, each below the one that signed it.
pub(in crate::console) async fn cas(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    visit.may::<View>()?;
    let all = state.authority.cas();
    let line = html! {
        "Root fingerprint " code class="long" { (state.authority.root_fingerprint()) }
    };
    let body = html! {
        (head("Certificate authorities", line, html! {}))
        (live("tree", "cas", &html! {
            ul class="tree" {
                @for ca in all.iter().filter(|ca| is_top(ca, &all)) { (branch(ca, &all, &visit, 0)) }
            }
        }))
        p class="soft small" {
            "Making and signing CAs is done where their keys are: " code { "countersign ca --help" } "."
        }
    };
    Ok(framed(&visit, "Certificate authorities", &body))
}

/// Whether nobody here signed it.
fn is_top(ca: &CaFacts, all: &[CaFacts]) -> bool {
    ca.parent.is_none_or(|parent| parent == ca.key_id || !all.iter().any(|one| one.key_id == parent))
}

/// How deep a tree is drawn: deeper than paths of CAs are long.
const DEPTH: usize = 8;

fn branch(ca: &CaFacts, all: &[CaFacts], visit: &Visit, depth: usize) -> Markup {
    let below = |parent: IssuerKeyId| {
        all.iter().filter(move |one| one.parent == Some(parent) && one.key_id != parent)
    };
    html! {
        li {
            (shown(ca, visit))
            @if depth < DEPTH && below(ca.key_id).next().is_some() {
                ul { @for one in below(ca.key_id) { (branch(one, all, visit, depth + 1)) } }
            }
        }
    }
}

fn shown(ca: &CaFacts, visit: &Visit) -> Markup {
    let now = visit.now;
    let is_rotated = ca.role != IssuerRole::Root && ca.state != IssuerState::Retired && visit.is_unbound();
    let purpose = match ca.role {
        IssuerRole::Root => "signs CAs",
        IssuerRole::Device => "signs devices",
        IssuerRole::Service => "signs services and doors",
        IssuerRole::Intermediate => "signs services and CAs",
    };
    let origin = match ca.origin {
        Origin::Made => "made here",
        Origin::Imported => "brought along",
    };
    html! {
        article class="panel node" {
            div class="panel-head" {
                h2 { (ca.name) " " span class="soft" { (purpose) } }
                (standing(ca, now))
            }
            dl class="facts" {
                (fact("Ends", html! {
                    @match ca.expires_at {
                        Some(at) => { (exactly(at)) " " span class="soft" { "(" (until(now, at)) ")" } },
                        None => "cannot be read",
                    }
                }))
                (fact("Key", html! {
                    (ca.key.custody) ", "
                    @match ca.key.at_hand { KeyAtHand::Yes => "at hand", KeyAtHand::No => "not at hand" }
                }))
                (fact("Key id", short(&ca.key_id.to_string())))
                (fact("Origin", html! { (origin) ", " (ago(now, ca.created_at)) }))
                @if let Some(environment) = &ca.environment { (fact("Environment", html! { (environment) })) }
                (fact("Certificate", html! { a href={ "/pki/ca/" (ca.key_id) ".pem" } { "PEM" } }))
                @if is_rotated {
                    (fact("Rotation", html! { a href={ "/console/cas/" (ca.name) "/rotation" } { "Steps" } }))
                }
            }
        }
    }
}

fn standing(ca: &CaFacts, now: Timestamp) -> Markup {
    let is_over = ca.expires_at.is_none_or(|at| at <= now);
    if is_over {
        return pill("bad", "ended");
    }
    match ca.state {
        IssuerState::Retired => pill("still", "retired"),
        IssuerState::Prepared | IssuerState::Active | IssuerState::Retiring => match ca.key.at_hand {
            KeyAtHand::Yes => pill("good", html! { (ca.state) }),
            KeyAtHand::No => pill("still", "offline"),
        },
    }
}
