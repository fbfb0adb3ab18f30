//! `/console/alerts`: what needs somebody, who sees to it, and the windows in which nobody is told.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::alerts::{
    AlertFilter, AlertKind, AlertRow, AlertsOnly, Severity, SilenceRow, WantedSilence,
};
use countersign_authority::{Operate, View};
use http::StatusCode;
use maud::{Markup, html};

use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::icons::Icon;
use crate::console::layout::{live, page};
use crate::console::parts::{ago, empty, head, pill, problems, until};
use crate::console::visit::Visit;
use crate::console::words::event;
use crate::failure::{Failure, Outcome};
use crate::request::{QueryFields, Segment, named};
use crate::state::ControlPlane;

const HERE: &str = "/console/alerts";

/// How many are on the page.
const ON_A_PAGE: u32 = 100;

/// For how long nobody may be told.
const LASTS: [(u64, &str); 5] = [
    (60, "1 hour"),
    (4 * 60, "4 hours"),
    (24 * 60, "1 day"),
    (7 * 24 * 60, "7 days"),
    (30 * 24 * 60, "30 days"),
];

/// Those that are open, or all of them.
pub(in crate::console) async fn list(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(mut query): QueryFields,
) -> Outcome<Response> {
    let is_of_all = query.lenient_text("show", 8).as_deref() == Some("all");
    shown(&state, &visit, is_of_all, None).await
}

async fn shown(
    state: &ControlPlane,
    visit: &Visit,
    is_of_all: bool,
    failure: Option<&Failure>,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let only = if is_of_all { AlertsOnly::All } else { AlertsOnly::Open };
    let tenant = visit.tenant.as_ref().map(|tenant| tenant.slug.clone());
    let filter = AlertFilter { tenant, only, limit: ON_A_PAGE };
    let alerts = state.authority.alerts(&by, filter).await.map_err(|error| Failure::internal(&error))?;
    let silences = if visit.is_unbound() { Some(state.authority.silences(&by).await?) } else { None };
    let actions = html! {
        @if visit.is_unbound() && visit.can::<Operate>() {
            form method="post" action="/console/alerts/test" {
                (visit.csrf())
                button { "Try whether they arrive" }
            }
        }
    };
    let lists = [(HERE, "Open", !is_of_all), ("/console/alerts?show=all", "All", is_of_all)];
    let body = html! {
        (head("Alerts", "Raised once for each cause, told to whoever the configuration names.", &actions))
        nav class="tabs" aria-label="Lists of alerts" {
            @for (path, name, is_here) in lists { a href=(path) aria-current=[is_here.then_some("page")] { (name) } }
        }
        (live("alerts", "administration devices edges cas refusals", &html! {
            @if alerts.is_empty() {
                div class="panel" {
                    (empty(
                        Icon::Alerts,
                        "Nothing needs anybody",
                        "Certificates and CAs that end, edges that cannot be reached, devices that wait, spikes of \
                         refusals and more would be here.",
                        html! {},
                    ))
                }
            } @else {
                (table(visit, &alerts))
            }
        }))
        @if let Some(silences) = &silences { (quiet(visit, silences, failure)) }
    };
    Ok(page(visit, "Alerts", &body))
}

fn table(visit: &Visit, alerts: &[AlertRow]) -> Markup {
    html! {
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "What" }
                        th scope="col" { "How grave" }
                        th scope="col" { "Since" }
                        th scope="col" { "Seen to by" }
                        th scope="col" { span class="spoken" { "See to it" } }
                    }
                }
                tbody { @for alert in alerts { (row(visit, alert)) } }
            }
        }
    }
}

fn row(visit: &Visit, alert: &AlertRow) -> Markup {
    html! {
        tr {
            td class="main" {
                (alert.summary)
                p class="soft" {
                    (event(&alert.kind))
                    @if visit.shows_tenants() && let Some(tenant) = &alert.tenant { " · " (tenant) }
                }
            }
            td data-label="How grave" {
                (severity(alert.severity))
                @if let Some(at) = alert.resolved_at { p class="soft" { "resolved " (ago(visit.now, at)) } }
            }
            td data-label="Since" { (ago(visit.now, alert.opened_at)) }
            td data-label="Seen to by" {
                @match &alert.acknowledged {
                    Some((at, who)) => { (who) p class="soft" { (ago(visit.now, *at)) } }
                    None => { span class="soft" { "nobody" } }
                }
            }
            td class="decide" {
                @if visit.can::<Operate>() && alert.resolved_at.is_none() && alert.acknowledged.is_none() {
                    form method="post" action={ "/console/alerts/" (alert.id) "/acknowledge" } {
                        (visit.csrf())
                        button { "I see to it" span class="spoken" { ": " (alert.summary) } }
                    }
                }
            }
        }
    }
}

fn severity(severity: Severity) -> Markup {
    let tone = match severity {
        Severity::Critical => "bad",
        Severity::Warning => "warn",
        Severity::Info => "info",
    };
    pill(tone, severity.to_string())
}

/// The windows in which nobody is told, and making one.
fn quiet(visit: &Visit, silences: &[SilenceRow], failure: Option<&Failure>) -> Markup {
    html! {
        section class="panel" id="silences" {
            h2 { "Nobody is told" }
            @if silences.is_empty() {
                p class="soft" { "No window in which nobody is told." }
            } @else {
                table class="list stacks" {
                    thead {
                        tr {
                            th scope="col" { "Of what" }
                            th scope="col" { "Why" }
                            th scope="col" { "Ends" }
                            th scope="col" { span class="spoken" { "End it" } }
                        }
                    }
                    tbody {
                        @for silence in silences {
                            tr {
                                td class="main" {
                                    @if silence.kind.is_empty() { "everything" } @else { (event(&silence.kind)) }
                                    @if !silence.subject.is_empty() { p class="soft" { (silence.subject) } }
                                }
                                td data-label="Why" { (silence.reason) p class="soft" { (silence.created_by) } }
                                td data-label="Ends" { (until(visit.now, silence.ends_at)) }
                                td class="decide" {
                                    @if visit.can::<Operate>() {
                                        form method="post" action={ "/console/alerts/silences/" (silence.id) "/end" } {
                                            (visit.csrf())
                                            button { "End it" span class="spoken" { ": " (silence.reason) } }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if visit.can::<Operate>() { (silencing(visit, failure)) }
        }
    }
}

fn silencing(visit: &Visit, failure: Option<&Failure>) -> Markup {
    html! {
        details open[failure.is_some()] {
            summary { "Make such a window" }
            (problems(failure))
            form method="post" action="/console/alerts/silence" {
                (visit.csrf())
                div class="fields" {
                    div class="field" {
                        label for="kind" { "Of" }
                        select id="kind" name="kind" {
                            option value="" { "everything" }
                            @for kind in AlertKind::ALL { option value=(kind) { (event(&kind.to_string())) } }
                        }
                    }
                    div class="field" {
                        label for="minutes" { "For" }
                        select id="minutes" name="minutes" {
                            @for (minutes, name) in LASTS { option value=(minutes) { (name) } }
                        }
                    }
                    div class="field" {
                        label for="reason" { "Why" }
                        input id="reason" name="reason" required maxlength="255" placeholder="planned work on the network";
                    }
                }
                p class="hint" { "Alerts are raised all the same; what is still open at the end is told then." }
                div class="actions" { button { "Tell nobody" } }
            }
        }
    }
}

/// Notes that whoever sent the form sees to an alert.
pub(in crate::console) async fn acknowledge(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<Operate>()?;
    let acknowledged = state.authority.acknowledge_alert(&by, named(&id, "alert")?).await;
    let flash = match acknowledged.map_err(Failure::from) {
        Ok(_alert) => Flash::new(Tone::Good, "You see to it. The others can read that."),
        Err(failure) if failure.status == StatusCode::CONFLICT => {
            Flash::new(Tone::Bad, format!("{}.", failure.body.error))
        }
        Err(failure) => return Err(failure),
    };
    Ok(flash.then(HERE))
}

/// Makes a window in which nobody is told.
pub(in crate::console) async fn silence(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Operate>()?;
    by.covers_all()?;
    match read(&form) {
        Ok(wanted) => {
            state.authority.silence_alerts(&by, wanted).await?;
            Ok(Flash::new(Tone::Good, "Nobody is told until the window ends.").then(HERE))
        }
        Err(failure) => {
            let page = shown(&state, &visit, false, Some(&failure)).await?;
            Ok(crate::console::error_page::Rendered::instead(failure, page))
        }
    }
}

fn read(form: &Form) -> Outcome<WantedSilence> {
    let mut fields = form.fields(&[]);
    let kind = fields.parsed::<AlertKind>("kind");
    let reason = fields.required_text("reason", 255);
    let minutes = fields.read("minutes", |text| {
        let known = LASTS.iter().map(|(minutes, _)| *minutes).find(|minutes| minutes.to_string() == text);
        known.ok_or("must be one of those that are offered")
    });
    fields.refuse_unknown();
    fields.finish()?;
    let lasts = Duration::from_secs(minutes.unwrap_or(60).saturating_mul(60));
    Ok(WantedSilence { kind, subject: None, reason, lasts })
}

/// Ends such a window.
pub(in crate::console) async fn end_silence(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<Operate>()?;
    by.covers_all()?;
    state.authority.end_silence(&by, named(&id, "silence")?).await?;
    Ok(Flash::new(Tone::Good, "The window is over: alerts are told again.").then(HERE))
}

/// Raises an alert about nothing.
pub(in crate::console) async fn test(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    let by = visit.may::<Operate>()?;
    state.authority.test_alerts(&by).await?;
    Ok(Flash::new(Tone::Good, "An alert about nothing is on its way; it resolves by itself.").then(HERE))
}
