//! `countersign ca rotate`: takes a CA's rotation a step further, shows how far it is, or takes a step
//! back; through the running server.

use std::fmt::Write as _;

use anyhow::Context as _;
use countersign_api::wire::admin::AppliedEdges;
use countersign_api::wire::rotation::{
    ActivateRotationRequest, CanaryRequest, InUseBody, PrepareRotationRequest, RetireRotationRequest,
    RollBackRotationRequest, RotationBody, RotationChanged, RotationStatusBody,
};
use countersign_core::ids::CaName;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::admin_server::{AdminServer, said};
use super::ca_rotate_arguments::{
    CaRotateArguments, CaRotateCommand, RotateTarget, RotationStep, StatusArguments,
};
use super::failure::Failure;
use super::output::{print, print_json};

/// How a refused step is told from a mistake.
const REFUSED: &str = "`countersign ca rotate status NAME` shows who does not follow";

/// Does what was asked for.
pub(super) fn run(arguments: &CaRotateArguments) -> Result<(), Failure> {
    match &arguments.command {
        Some(CaRotateCommand::Status(status)) => show(status),
        Some(CaRotateCommand::Rollback(rollback)) => {
            let body = RollBackRotationRequest { renew_within_seconds: rollback.renew_now };
            let server = Server::of(&rollback.target)?;
            let answer = server.post(&rollback.target.name, "/rollback", &json!(body))?;
            tell(&answer, rollback.target.server.json)
        }
        None => {
            let Some(name) = &arguments.name else {
                let error = anyhow::anyhow!("no CA is named");
                return Err(Failure::bad_usage(error).hint("countersign ca rotate device"));
            };
            let target = RotateTarget { name: name.clone(), server: arguments.server.clone() };
            step(arguments, &target)
        }
    }
}

/// Takes the step that was named, or the one that is next.
fn step(arguments: &CaRotateArguments, target: &RotateTarget) -> Result<(), Failure> {
    let server = Server::of(target)?;
    let wanted = match arguments.step {
        Some(step) => step,
        None if arguments.to.is_some() => RotationStep::Prepare,
        None if arguments.canary.is_named() => RotationStep::Canary,
        None => server.next(&target.name)?,
    };
    let renew_within_seconds = arguments.renew_now;
    let (path, body) = match wanted {
        RotationStep::Prepare => {
            let to = arguments.to.as_ref().map(ToString::to_string);
            ("", json!(PrepareRotationRequest { to }))
        }
        RotationStep::Canary => {
            let canary = &arguments.canary;
            let body = CanaryRequest {
                tenant: canary.tenant.clone(),
                devices: canary.devices,
                percent: canary.percent,
                renew_within_seconds,
            };
            ("/canary", json!(body))
        }
        RotationStep::Activate => {
            let body = ActivateRotationRequest {
                adoption_percent: arguments.adoption,
                seen_within_days: arguments.seen_within_days,
                danger_skip_adoption: arguments.danger_skip_adoption,
                renew_within_seconds,
            };
            ("/activate", json!(body))
        }
        RotationStep::Retire => {
            let danger_strand_dependents = arguments.danger_strand_dependents;
            ("/retire", json!(RetireRotationRequest { danger_strand_dependents }))
        }
    };
    tell(&server.post(&target.name, path, &body)?, target.server.json)
}

/// A running server.
struct Server(AdminServer);

impl Server {
    fn of(target: &RotateTarget) -> Result<Self, Failure> {
        AdminServer::of(&target.server).map(Self)
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: &str) -> Result<T, Failure> {
        let (status, answer) = self.0.call(method, path, body)?;
        if status.is_success() {
            return Ok(serde_json::from_str(&answer).context("read the server's answer")?);
        }
        Err(refused(status, &answer))
    }

    fn post(&self, name: &CaName, step: &str, body: &Value) -> Result<RotationChanged, Failure> {
        self.ask(Method::POST, &format!("/cas/{name}/rotation{step}"), &body.to_string())
    }

    fn status(&self, name: &CaName, query: &str) -> Result<RotationStatusBody, Failure> {
        self.ask(Method::GET, &format!("/cas/{name}/rotation{query}"), "")
    }

    /// The step after the one that a rotation is at; without a rotation the first. To go first nobody has to
    /// be chosen.
    fn next(&self, name: &CaName) -> Result<RotationStep, Failure> {
        let (status, answer) = self.0.call(Method::GET, &format!("/cas/{name}/rotation?limit=1"), "")?;
        if status == StatusCode::NOT_FOUND {
            return Ok(RotationStep::Prepare);
        }
        if !status.is_success() {
            return Err(refused(status, &answer));
        }
        let status: RotationStatusBody = serde_json::from_str(&answer).context("read the server's answer")?;
        Ok(match status.rotation.step.as_str() {
            "prepared" | "canary" => RotationStep::Activate,
            "active" => RotationStep::Retire,
            _over => RotationStep::Prepare,
        })
    }
}

fn refused(status: StatusCode, answer: &str) -> Failure {
    let text = said(answer);
    if status == StatusCode::CONFLICT {
        return Failure::bad_answer(text).hint(REFUSED);
    }
    anyhow::anyhow!("the server answered {status}: {text}").into()
}

fn show(arguments: &StatusArguments) -> Result<(), Failure> {
    let target = &arguments.target;
    let server = Server::of(target)?;
    let query = match (&arguments.limit, &arguments.cursor) {
        (limit, Some(cursor)) => format!("?limit={limit}&cursor={cursor}"),
        (limit, None) => format!("?limit={limit}"),
    };
    let status = server.status(&target.name, &query)?;
    if target.server.json {
        return Ok(print_json(&status)?);
    }
    let mut text = described(&status.rotation);
    if !status.devices.is_empty() {
        // Writing to a String cannot fail, here and below.
        let _written = writeln!(text, "devices with a live certificate of {}:", target.name);
    }
    for device in &status.devices {
        let seen = device.last_seen_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let _written = writeln!(
            text,
            "  {}/{}  {}, seen {seen}, certificate {} until {}",
            device.tenant, device.name, device.status, device.certificate_state, device.expires_at
        );
    }
    if let Some(cursor) = &status.next_cursor {
        let _written = writeln!(text, "  more: --cursor {cursor}");
    }
    Ok(print(&text)?)
}

fn tell(answer: &RotationChanged, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(print_json(answer)?);
    }
    Ok(print(&described(&answer.rotation))?)
}

/// For people.
fn described(rotation: &RotationBody) -> String {
    let RotationBody { old, new, step, adoption, .. } = rotation;
    let AppliedEdges { applied, total } = adoption.edges;
    let mut text = format!("{old} -> {new}: {step}\n");
    let mut say = |what: &str, value: String| {
        let _written = writeln!(text, "  {what:<18} {value}");
    };
    say("prepared", rotation.prepared_at.to_string());
    if let Some(at) = rotation.activated_at {
        say("activated", at.to_string());
    }
    if let Some(at) = rotation.ended_at {
        say("ended", at.to_string());
    }
    if let Some(canary) = &rotation.canary {
        say("canary", canary.clone());
    }
    if let Some(call) = rotation.renewal {
        say("renewals", format!("asked for from {} to {}", call.from, call.until));
    }
    say("edges", format!("{applied} of {total} trust {new}"));
    let measured = match adoption.measure.as_str() {
        "trust_bundle" => "have reported the CA certificates that they need",
        "canary_certificate" => "of the canary use the new CA",
        _nothing => "use the new CA",
    };
    let (adopted, all, days) = (adoption.devices_adopted, adoption.devices_total, adoption.seen_within_days);
    say("devices", format!("{adopted} of {all} {measured} (seen within {days} days)"));
    say(&format!("at {old}"), in_use(&rotation.at_old));
    say(&format!("at {new}"), in_use(&rotation.at_new));
    if matches!(step.as_str(), "prepared" | "canary") {
        for missing in &rotation.missing {
            say("missing", missing.clone());
        }
    }
    text
}

fn in_use(in_use: &InUseBody) -> String {
    let mut parts: Vec<String> = [
        (in_use.active, "active"),
        (in_use.pending, "to be confirmed"),
        (in_use.superseded, "replaced"),
        (in_use.services, "of services"),
        (in_use.being_signed, "being signed"),
        (u64::from(in_use.doors), "doors"),
    ]
    .into_iter()
    .filter(|(count, _what)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    parts.extend(in_use.service_names.iter().map(|name| format!("service {name}")));
    parts.extend(in_use.cas.iter().map(|name| format!("CA {name}")));
    if parts.is_empty() { "nobody".to_owned() } else { parts.join(", ") }
}
