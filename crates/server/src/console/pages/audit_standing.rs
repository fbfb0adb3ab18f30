//! What the audit page says of the chains themselves: whether they are whole, since when, and who has a copy.

use countersign_authority::View;
use countersign_authority::audit::AuditStanding;
use countersign_authority::audit_streams::StreamStatus;
use countersign_core::time::Timestamp;
use maud::{Markup, html};

use crate::console::parts::{ago, ago_or, pill};
use crate::console::visit::Visit;
use crate::failure::Outcome;
use crate::state::ControlPlane;

/// Nothing for whoever does not see every chain.
pub(super) async fn standing(state: &ControlPlane, visit: &Visit) -> Outcome<Markup> {
    let by = visit.may::<View>()?;
    if by.covers_all().is_err() {
        return Ok(html! {});
    }
    let standing = state.authority.audit_standing(&by).await?;
    let streams = state.authority.audit_streams(&by).await?;
    Ok(html! {
        section class="panel" {
            h2 { "Chains" }
            (chains(&standing, visit.now))
        }
        @if !streams.is_empty() { (copies(&streams, visit.now)) }
    })
}

fn chains(standing: &AuditStanding, now: Timestamp) -> Markup {
    html! {
        dl class="pairs" {
            div {
                dt { "Recomputed" }
                dd {
                    @match &standing.verified {
                        None => span class="soft" { "not yet: ten minutes after a start, then once a day" },
                        Some(verified) => {
                            (ago(now, verified.at)) " against " (verified.anchors) " anchors: "
                            @match &verified.broken {
                                None => (pill("good", "as it was written")),
                                Some(broken) => { (pill("bad", "not as it was written")) " " (broken) },
                            }
                        },
                    }
                }
            }
            div {
                dt { "Last anchor" }
                dd {
                    @match &standing.anchor {
                        None => span class="soft" { "none yet" },
                        Some((number, at)) => { (number) ", " (ago(now, *at)) },
                    }
                }
            }
            @if let Some(cut) = &standing.cut {
                div {
                    dt { "Kept from" }
                    dd { "anchor " (cut.anchor) " on; what is older was removed " (ago(now, cut.at)) }
                }
            }
        }
        p class="soft small" {
            "An anchor that is kept elsewhere shows more: " code { "countersign audit verify" } "."
        }
    }
}

fn copies(streams: &[StreamStatus], now: Timestamp) -> Markup {
    html! {
        h2 { "Copies" }
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "Copy" }
                        th scope="col" { "Has not" }
                        th scope="col" { "Arrived last" }
                        th scope="col" { "Problem" }
                    }
                }
                tbody {
                    @for stream in streams {
                        tr {
                            td class="main" { (stream.row.name) }
                            td data-label="Has not" {
                                @match stream.oldest {
                                    None => (pill("good", "nothing")),
                                    Some(oldest) => { (stream.behind) " entries, the first " (ago(now, oldest)) },
                                }
                            }
                            td data-label="Arrived last" { (ago_or(now, stream.row.arrived_at, "never")) }
                            td data-label="Problem" {
                                @if let Some(failure) = &stream.row.failure {
                                    span class="bad" { (failure.problem) }
                                    p class="soft" { "since " (ago(now, failure.since)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
