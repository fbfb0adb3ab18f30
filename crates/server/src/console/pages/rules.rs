//! `/console/rules`: the rules that the doors run, and a bench on which another one is tried before it is in force.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::State;
use axum::response::Response;
use countersign_authority::View;
use countersign_core::snapshot::{RuleAction, TrustSnapshot};
use maud::{Markup, html};

use super::rule_editor::kept;
use super::rule_history::observed;
use crate::admin::rule_trials::{STANDINGS, TRIED, Untried, asked, attempt as attempt_on, standing};
use crate::admin::rules::EXPRESSION;
use crate::console::form::Form;
use crate::console::icons::Icon;
use crate::console::layout::{live, page};
use crate::console::parts::{empty, head, pill};
use crate::console::visit::Visit;
use crate::console::words::count;
use crate::failure::Outcome;
use crate::rule_bench::{RuleBench, Trial, TriedRequest};
use crate::state::ControlPlane;

/// The rules in force, and the bench.
pub(in crate::console) async fn list(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    visit.may::<View>()?;
    shown(&state, &visit, &Form::default(), &html! {}).await
}

/// Tries a rule, or those in force, on a request.
pub(in crate::console) async fn attempt(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    visit.may::<View>()?;
    let result = match state.rule_bench() {
        Some(bench) => outcome(bench, &state.authority.snapshot(), &form),
        None => html! { p class="notice bad" role="alert" { "There is no bench in this process." } },
    };
    shown(&state, &visit, &form, &result).await
}

async fn shown(state: &ControlPlane, visit: &Visit, form: &Form, result: &Markup) -> Outcome<Response> {
    let snapshot = state.authority.snapshot();
    let (kept, observed) = (kept(state, visit).await?, observed(state, visit).await?);
    let line = "Asked in this order at every door, before a request goes on: those of the configuration, which is read \
                again at SIGHUP, then those that are kept in the database.";
    let body = html! {
        (head("Rules", line, html! {}))
        (live("rules", "edges", &html! {
            @if snapshot.rules.is_empty() {
                div class="panel" {
                    (empty(
                        Icon::Rules,
                        "No rule",
                        "Doors go by what their routes require. A rule in Cloudflare’s language says more; try one below.",
                        html! {},
                    ))
                }
            } @else {
                (table(&snapshot))
            }
        }))
        (observed)
        (kept)
        @if state.rule_bench().is_some() { (bench(visit, form, result)) }
    };
    Ok(page(visit, "Rules", &body))
}

fn table(snapshot: &TrustSnapshot) -> Markup {
    html! {
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "Rule" }
                        th scope="col" { "Does" }
                        th scope="col" { "When" }
                    }
                }
                tbody {
                    @for rule in snapshot.rules.iter() {
                        tr {
                            td class="main" { (rule.name) }
                            td data-label="Does" { (action(&rule.action)) }
                            td class="expression" data-label="When" { code { (rule.expression) } }
                        }
                    }
                }
            }
        }
    }
}

fn action(action: &RuleAction) -> Markup {
    match action {
        RuleAction::Block(response) => pill("bad", format!("blocks, {}", response.status)),
        RuleAction::Log => pill("info", "writes down"),
        RuleAction::Skip => pill("still", "skips the rest"),
    }
}

/// The form on which rules are tried, with what came of it.
fn bench(visit: &Visit, form: &Form, result: &Markup) -> Markup {
    let value = |name: &str, usual: &'static str| form.first(name).unwrap_or(usual).to_owned();
    let chosen = value("standing", "");
    html! {
        section class="panel" id="bench" {
            h2 { "Try it" }
            p class="soft" { "Nothing here changes what is in force, and nothing is sent anywhere." }
            form method="post" action="/console/rules#bench" {
                (visit.csrf())
                div class="field" {
                    label for="expression" { "Expression" }
                    textarea id="expression" name="expression" rows="3" maxlength=(EXPRESSION) spellcheck="false"
                        placeholder=r#"http.request.uri.path contains "/api/" and not cf.tls_client_auth.cert_verified"# {
                        (value("expression", ""))
                    }
                    p class="hint" { "As a blocking rule before those in force. Empty: those in force alone." }
                }
                div class="field" {
                    label for="request" { "Request" }
                    textarea id="request" name="request" rows="3" maxlength="16384" spellcheck="false" {
                        (value("request", "GET /api/v1/items\nHost: app.example.com"))
                    }
                    p class="hint" { "Method and path, and headers below." }
                }
                details open[form.first("chain").is_some_and(|chain| !chain.trim().is_empty())] {
                    summary { "With a certificate, or from elsewhere" }
                    div class="field" {
                        label for="chain" { "Certificates, PEM" }
                        textarea id="chain" name="chain" rows="4" maxlength="65536" spellcheck="false" { (value("chain", "")) }
                    }
                    div class="fields" {
                        div class="field" {
                            label for="standing" { "The certificate is" }
                            select id="standing" name="standing" {
                                option value="" selected[chosen.is_empty()] { "by its dates" }
                                @for (word, name, _) in STANDINGS {
                                    option value=(word) selected[chosen == word] { (name) }
                                }
                            }
                        }
                        div class="field" {
                            label for="source" { "From the address" }
                            input id="source" name="source" maxlength="64" value=(value("source", "192.0.2.1"));
                        }
                    }
                }
                div class="actions" { button class="primary" { "Try" } }
            }
            div id="outcome" aria-live="polite" { (result) }
        }
    }
}

fn outcome(bench: &dyn RuleBench, snapshot: &TrustSnapshot, form: &Form) -> Markup {
    let expression = form.first("expression").unwrap_or("").trim();
    if expression.is_empty() && snapshot.rules.is_empty() {
        return html! { p class="notice" { "There is no rule in force, and none to be tried." } };
    }
    let source = form.first("source").and_then(|text| text.trim().parse::<IpAddr>().ok());
    let on = TriedRequest {
        request: form.first("request").unwrap_or("").to_owned(),
        source: source.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        chain: form.first("chain").unwrap_or("").to_owned(),
        standing: form.first("standing").and_then(standing),
    };
    match attempt_on(bench, snapshot, expression, &on) {
        Ok((trial, doubts)) => told(&trial, &doubts),
        Err(Untried::Wrong(faults)) => wrong(&faults),
        Err(Untried::Unfit(problem)) => html! { p class="notice bad" role="alert" { (problem) "." } },
    }
}

/// What is wrong with an expression, with a caret under the place.
fn wrong(faults: &[String]) -> Markup {
    html! {
        div class="notice bad" role="alert" {
            p { "This is no rule yet: " (count(faults.len() as u64, "fault", "faults")) "." }
            @for fault in faults { pre class="fault" { (fault) } }
        }
    }
}

fn told(trial: &Trial, doubts: &[String]) -> Markup {
    html! {
        @match &trial.blocked {
            Some((rule, status)) => {
                p class="notice bad" role="status" { "Blocked by " strong { (rule) } " with status " (status) "." }
            }
            None => { p class="notice good" role="status" { "Let through by the rules." } }
        }
        @for rule in &trial.logged { p class="soft" { "Written down by " strong { (rule) } "." } }
        @for doubt in doubts { p class="notice" { "Doubtful: " (doubt) } }
        @for (rule, is_asked) in asked(&trial.rules) {
            details open[is_asked && (rule.matches || rule.name == TRIED)] {
                summary {
                    strong { (rule.name) } " "
                    @if !is_asked { (pill("still", "not asked")) }
                    @else if rule.matches { (pill("warn", "matches")) }
                    @else { (pill("still", "does not match")) }
                }
                table class="list parts" {
                    thead { tr { th scope="col" { "Part" } th scope="col" { "Value" } } }
                    tbody {
                        @for (depth, text, value) in &rule.parts {
                            tr {
                                td { code class={ "depth-" ((*depth).min(8)) } { (text) } }
                                td { code { (value) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
