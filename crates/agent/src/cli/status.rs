//! `countersign-agent status`.

use std::fmt::Write as _;

use countersign_agent::status::{RenewalStatus, Status};
use countersign_core::time::Clock as _;

use super::arguments::Json;
use super::output;
use super::start::Context;

pub(crate) fn status(context: &Context, format: Json) -> anyhow::Result<()> {
    let config = context.disk.load()?;
    let status = Status::of(config.as_ref(), context.clock.now());
    if format.json {
        return output::json(&status);
    }
    output::text(&page(&status, &context.disk.path().display().to_string()))
}

fn page(status: &Status, path: &str) -> String {
    let mut text = format!("Configuration  {path}");
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _written = write!(text, "\n{name:<14} {value}");
    };
    if !status.enrolled {
        line("Enrolled", "no; run `countersign-agent enroll`");
        return text;
    }
    if let Some(server) = &status.server_url {
        line("Server", server);
    }
    if let (Some(name), Some(id)) = (&status.device_name, &status.device_id) {
        line("Device", &format!("{name} ({id})"));
    }
    let expires = status.expires.as_deref().unwrap_or_default();
    let certificate = match &status.expires {
        Some(_) => format!("{}, expires {expires}", status.certificate.as_str()),
        None => status.certificate.as_str().to_owned(),
    };
    line("Certificate", &certificate);
    if let Some(at) = status.renewal_at {
        line("Renewal from", &at.to_string());
    }
    match status.renewal {
        RenewalStatus::None => {}
        RenewalStatus::KeyMade => line("Renewal", "on its way: key made, certificate asked for"),
        RenewalStatus::Unconfirmed => line("Renewal", "on its way: certificate issued, not confirmed yet"),
    }
    text
}
