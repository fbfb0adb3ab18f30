//! `/console/rules/revisions`: what the rules of the database were, and going back to it; and what observed rules
//! would have blocked.

use axum::extract::State;
use axum::response::Response;
use countersign_authority::rules::kept::{RuleEdit, RuleRevisionRow};
use countersign_authority::{Administer, View};
use maud::{Markup, html};

use crate::admin::rules::change;
use crate::console::error_page::Rendered;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::layout::page as framed;
use crate::console::parts::{ago, applied, head, problems};
use crate::console::visit::Visit;
use crate::console::words::count;
use crate::failure::{Failure, Outcome};
use crate::state::ControlPlane;

/// The revisions. Not for whoever is bound to a tenant.
pub(in crate::console) async fn page(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    shown(&state, &visit, None).await
}

/// Goes back to one.
pub(in crate::console) async fn restore(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    by.covers_all()?;
    let mut fields = form.fields(&[]);
    let (wanted, seen) = (fields.required_parsed::<u64>("restore"), fields.parsed::<u64>("revision"));
    let done = match fields.finish() {
        Ok(()) => change(&state, &by, (RuleEdit::Restore(wanted.unwrap_or_default()), seen)).await,
        Err(failure) => Err(failure),
    };
    match done {
        Ok((_revision, done)) => {
            let told = format!("The rules are what they were. {}", applied(done));
            Ok(Flash::new(Tone::Good, told).then("/console/rules"))
        }
        Err(failure) if failure.status.is_client_error() => {
            let page = shown(&state, &visit, Some(&failure)).await?;
            Ok(Rendered::instead(failure, page))
        }
        Err(failure) => Err(failure),
    }
}

async fn shown(state: &ControlPlane, visit: &Visit, failure: Option<&Failure>) -> Outcome<Response> {
    let revisions = state.authority.rule_revisions(&visit.may::<View>()?).await?;
    let line =
        "What the rules of the database were after each change. Going back is a change like any other.";
    let present = revisions.first().map_or(0, |row| row.revision);
    let body = html! {
        (head("Revisions of the rules", line, html! {}))
        (problems(failure))
        form class="panel" method="post" action="/console/rules/revisions" {
            (visit.csrf())
            input type="hidden" name="revision" value=(present);
            @if revisions.is_empty() { p class="calm" { "None yet." } }
            ul class="rows" {
                @for row in &revisions { (revision(visit, row, row.revision == present)) }
            }
        }
    };
    Ok(framed(visit, "Revisions of the rules", &body))
}

fn revision(visit: &Visit, row: &RuleRevisionRow, is_present: bool) -> Markup {
    let names: Vec<&str> = row.rules.iter().map(|rule| rule.source.name.as_str()).collect();
    html! {
        li {
            div {
                strong { "Revision " (row.revision) }
                span class="soft" { " " (ago(visit.now, row.changed_at)) " by " (row.changed_by) }
                p class="soft" { @if names.is_empty() { "No rule" } @else { (names.join(", ")) } }
            }
            @if is_present {
                span class="soft" { "in force" }
            } @else if visit.can::<Administer>() {
                button name="restore" value=(row.revision) {
                    "Go back to it" span class="spoken" { ", revision " (row.revision) }
                }
            }
        }
    }
}

/// What observed rules would have blocked; nothing where none would have blocked anything.
pub(super) async fn observed(state: &ControlPlane, visit: &Visit) -> Outcome<Markup> {
    let found = state.authority.observed_rules(&visit.may::<View>()?).await;
    let (_since, rules) = found.map_err(|error| Failure::internal(&error))?;
    Ok(html! {
        @if !rules.is_empty() {
            section class="panel" {
                div class="panel-head" {
                    h2 { "Would have been blocked in the last seven days" }
                    a class="button" href="/console/rollout" { "Which devices" }
                }
                ul class="rows" {
                    @for row in &rules {
                        li {
                            strong { (row.rule) }
                            span { (count(row.devices, "device", "devices")) ", last " (ago(visit.now, row.at)) }
                        }
                    }
                }
            }
        }
    })
}
