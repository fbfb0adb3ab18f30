//! `/console/cas/{name}/rotation`: replacing a CA step by step. What a step needs, and what it means, is told before it
//! is taken; no step is taken before what was measured allows it.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::publish::Applied;
use countersign_authority::rotation::adoption::{Gate, RotationStatus};
use countersign_authority::rotation::refused::RotationError;
use countersign_authority::rotation::{Canary, RotationStep, Stragglers};
use countersign_authority::{Authorized, Own, View};
use countersign_core::ids::CaName;
use maud::{Markup, html};

use crate::console::error_page::Rendered;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::layout::{live, page as framed};
use crate::console::parts::{ago, applied, exactly, fact, head, pill, problems};
use crate::console::visit::Visit;
use crate::failure::{Failure, Outcome};
use crate::request::{Segment, named};
use crate::state::ControlPlane;

const HOUR: u64 = 3600;

/// How many hours the call to renew may be spread over: thirty days.
const LONGEST_HOURS: u64 = 720;

/// How far the rotation of a CA is, and its next steps.
pub(in crate::console) async fn page(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(name): Segment,
) -> Outcome<Response> {
    visit.may::<View>()?.covers_all()?;
    let name: CaName = named(&name, "CA")?;
    shown(&state, &visit, &name, None).await
}

/// Takes a step.
pub(in crate::console) async fn step(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(name): Segment,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Own>()?;
    by.covers_all()?;
    let name: CaName = named(&name, "CA")?;
    match take(&state, &by, &name, &form).await {
        Ok((said, done)) => {
            let told = Flash::new(Tone::Good, format!("{said} {}", applied(done)));
            Ok(told.then(&format!("/console/cas/{name}/rotation")))
        }
        Err(failure) if failure.status.is_client_error() => {
            let page = shown(&state, &visit, &name, Some(&failure)).await?;
            Ok(Rendered::instead(failure, page))
        }
        Err(failure) => Err(failure),
    }
}

async fn take(
    state: &ControlPlane,
    by: &Authorized<Own>,
    name: &CaName,
    form: &Form,
) -> Outcome<(&'static str, Applied)> {
    let authority = &state.authority;
    let mut fields = form.fields(&["anyway"]);
    let act = fields.required_text("act", 16);
    let percent = fields.read("percent", |text| {
        text.parse().map_err(|_no_number| "must be 1 to 99").and_then(Canary::percent)
    });
    let hours: Option<u64> = fields.read("hours", |text| match text.parse() {
        Ok(hours @ 1..=LONGEST_HOURS) => Ok(hours),
        Ok(_) | Err(_) => Err("must be 1 to 720"),
    });
    fields.refuse_unknown();
    fields.finish()?;
    let renewal = hours.map(|hours| Duration::from_secs(hours * HOUR));
    let stragglers = if form.is_ticked("anyway") { Stragglers::DangerStranded } else { Stragglers::Kept };
    Ok(match act.as_str() {
        "prepare" => (
            "The new CA is trusted and signs nothing yet.",
            authority.prepare_rotation(by, name, None).await?.1,
        ),
        "canary" => {
            let canary = percent.ok_or_else(|| Failure::invalid_field("percent", "is required"))?;
            (
                "The new CA signs for those that go first.",
                authority.choose_canary(by, name, canary, renewal).await?,
            )
        }
        "activate" => {
            let gate = Gate { stragglers, ..Gate::default() };
            ("The new CA signs for all.", authority.activate_rotation(by, name, gate, renewal).await?)
        }
        "retire" => ("The old CA is trusted no more.", authority.retire_rotated(by, name, stragglers).await?),
        "rollback" => {
            ("The last step is taken back.", authority.roll_back_rotation(by, name, renewal).await?)
        }
        _ => return Err(Failure::invalid_field("act", "is none of the steps")),
    })
}

async fn shown(
    state: &ControlPlane,
    visit: &Visit,
    name: &CaName,
    failure: Option<&Failure>,
) -> Outcome<Response> {
    let status = match state.authority.rotation_status(&visit.may::<View>()?, name).await {
        Ok(status) => Some(status),
        Err(RotationError::NotRotating(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let line = "A fleet moves to a new CA without a refused request: both are trusted until nobody needs the old one.";
    let body = html! {
        (head(format!("Rotate the CA {name}"), line, html! { a class="button" href="/console/cas" { "The tree" } }))
        (problems(failure))
        (live("rotation", "cas certificates", &html! {
            @match &status {
                None => section class="panel" { h2 { "No rotation has begun" } },
                Some(status) => (standing(visit, status)),
            }
        }))
        @if visit.can::<Own>() { (steps(visit, name, status.as_ref())) }
        @else { p class="soft" { "Steps are taken by owners." } }
    };
    Ok(framed(visit, "Rotate a CA", &body))
}

fn standing(visit: &Visit, status: &RotationStatus) -> Markup {
    let (edges, devices) = (status.adoption.edges, status.adoption.devices);
    let tone = match status.step {
        RotationStep::Prepared | RotationStep::Canary => "info",
        RotationStep::Active => "good",
        RotationStep::Retired | RotationStep::Withdrawn => "still",
    };
    html! {
        section class="panel" {
            div class="panel-head" {
                h2 { (status.old) " → " (status.new) }
                (pill(tone, status.step.as_str()))
            }
            dl class="facts" {
                (fact("Prepared", ago(visit.now, status.prepared_at)))
                @if let Some(canary) = &status.canary { (fact("Goes first", canary.to_string())) }
                @if let Some(at) = status.activated_at { (fact("Signs for all since", exactly(at))) }
                @if let Some(at) = status.ended_at { (fact("Ended", exactly(at))) }
                (fact("Edges that trust it", format!("{} of {}", edges.applied, edges.total)))
                (fact("Devices that follow", format!("{} of {}", devices.adopted, devices.total)))
                @if let Some(call) = status.renewal {
                    (fact("Devices are asked to renew until", exactly(call.from + call.over)))
                }
            }
            @if status.step.is_open() && status.step != RotationStep::Active && !status.missing.is_empty() {
                h3 { "Until it may sign for all" }
                ul class="means" { @for one in &status.missing { li { (one) "." } } }
            }
            @if status.step == RotationStep::Active {
                h3 { "Until the old one can go" }
                @match &status.old_in_use {
                    None => p class="calm" { "Nobody needs it any more." },
                    Some(in_use) => p { (in_use.to_string()) "." },
                }
            }
        }
    }
}

/// The steps that can be taken now.
fn steps(visit: &Visit, name: &CaName, status: Option<&RotationStatus>) -> Markup {
    let open = status.filter(|status| status.step.is_open());
    let Some(status) = open else {
        return act(
            visit,
            name,
            ("prepare", "Begin", "Prepare a new CA"),
            &[
                "A CA like this one is made, with a fresh key, and every edge trusts it.",
                "It signs nothing. It can be taken back at any time before the old one is let go.",
            ],
            &html! {},
        );
    };
    let back = match status.step {
        RotationStep::Prepared => "The new CA is given up: it is trusted no more.",
        RotationStep::Canary | RotationStep::Active | RotationStep::Retired | RotationStep::Withdrawn => {
            "The old CA signs for all again; the new one stays trusted, and signs nothing."
        }
    };
    html! {
        @if matches!(status.step, RotationStep::Prepared | RotationStep::Canary) {
            (act(visit, name, ("canary", "Let some go first", "Let them go first"), &[
                "About so many of a hundred devices get certificates of the new CA, always the same ones.",
                "Every edge must trust the new CA before.",
            ], &html! { (percent()) (hours()) }))
            (act(visit, name, ("activate", "Let it sign for all", "Sign for all"), &[
                "Every renewal and every enrolment gets a certificate of the new CA.",
                "It waits until edges and devices have said that they know it.",
            ], &html! { (hours()) (anyway("Go on whoever does not follow: they are refused from then on")) }))
        }
        @if status.step == RotationStep::Active {
            (act(visit, name, ("retire", "Let the old one go", "Trust it no more"), &[
                "Certificates of the old CA are refused everywhere, at once. This is the end, and cannot be taken back.",
            ], &anyway("Let it go even though somebody needs it: they are refused from then on")))
        }
        (act(visit, name, ("rollback", "Take the last step back", "Take it back"), &[back], &hours()))
    }
}

/// A step, what it means, and what it may be told.
fn act(
    visit: &Visit,
    name: &CaName,
    (act, title, button): (&str, &str, &str),
    means: &[&str],
    told: &Markup,
) -> Markup {
    let class = if matches!(act, "retire" | "rollback") { "danger" } else { "primary" };
    html! {
        form class="panel narrow" method="post" action={ "/console/cas/" (name) "/rotation" } {
            (visit.csrf())
            input type="hidden" name="act" value=(act);
            h2 { (title) }
            ul class="means" { @for one in means { li { (one) } } }
            (told)
            div class="actions" { button class=(class) { (button) } }
        }
    }
}

fn percent() -> Markup {
    html! {
        div class="field" {
            label for="percent" { "Of a hundred devices" }
            input id="percent" name="percent" type="number" min="1" max="99" value="5" required;
        }
    }
}

/// Without it each device renews by its own clock.
fn hours() -> Markup {
    html! {
        div class="field" {
            label { "Ask devices to renew within so many hours "
                input name="hours" type="number" min="1" max=(LONGEST_HOURS) placeholder="by their own clocks";
            }
        }
    }
}

fn anyway(text: &str) -> Markup {
    html! {
        div class="field check" {
            input id="anyway" name="anyway" type="checkbox";
            label for="anyway" { (text) }
        }
    }
}
