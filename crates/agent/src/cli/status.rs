//! `countersign-agent status`.

use std::time::Duration;

use countersign_agent::channel::ConnectionState;
use countersign_agent::state::StateFile;
use countersign_agent::status::{AgentStatus, CertificateStatus, RenewalStatus, Status};
use countersign_core::time::{Clock as _, Timestamp};

use super::arguments::Json;
use super::output;
use super::start::Context;

pub(crate) fn status(context: &Context, format: Json) -> anyhow::Result<()> {
    let config = context.disk.load()?;
    let now = context.clock.now();
    let status = Status::of(config.as_ref(), now).with_agent(&StateFile::beside(context.disk.path()));
    if format.json {
        output::json(&status)?;
    } else {
        output::text(&page(&status, &context.disk.path().display().to_string(), now))?;
    }
    let forwards = status.agent.iter().flat_map(|agent| &agent.state.forwards);
    match forwards.filter(|forward| forward.changed_key.is_some()).map(|forward| &*forward.to).next() {
        Some(to) => Err(anyhow::anyhow!("{to} shows another key than the pinned one")),
        None => Ok(()),
    }
}

/// Lines of a name and what there is to say.
struct Page(Vec<(&'static str, String)>);

impl Page {
    fn line(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self.0.iter().map(|(name, value)| format!("{name:<14} {value}")).collect();
        lines.join("\n")
    }
}

fn page(status: &Status, path: &str, now: Timestamp) -> String {
    let mut page = Page(Vec::new());
    if !status.enrolled {
        page.line("Device", "not enrolled; `countersign-agent enroll` enrols it");
        page.line("Configuration", path);
        return page.text();
    }
    if let (Some(name), Some(id)) = (&status.device_name, &status.device_id) {
        page.line("Device", format!("{name} ({id})"));
    }
    if let Some(server) = &status.server_url {
        page.line("Server", server);
    }
    page.line("Configuration", path);
    certificate(&mut page, status, now);
    match &status.agent {
        Some(agent) => running(&mut page, agent, now),
        None => page.line("Agent", NOT_RUNNING),
    }
    page.text()
}

const NOT_RUNNING: &str =
    "not running; start it with `systemctl start countersign-agent` or `countersign-agent run`";

fn certificate(page: &mut Page, status: &Status, now: Timestamp) {
    let expires = status.expires.as_deref().unwrap_or_default();
    let end = Timestamp::parse(expires).ok();
    let span = end.map(|end| format!(" ({})", span(end, now))).unwrap_or_default();
    page.line(
        "Certificate",
        match status.certificate {
            CertificateStatus::None => "none yet; the running agent asks for one".to_owned(),
            CertificateStatus::Valid | CertificateStatus::RenewalDue => {
                format!("valid until {expires}{span}")
            }
            CertificateStatus::Expired => format!("expired at {expires}{span}"),
        },
    );
    let renewal = match (status.renewal, status.certificate, status.renewal_at) {
        (RenewalStatus::KeyMade, ..) => "on its way: key made, certificate asked for".to_owned(),
        (RenewalStatus::Unconfirmed, ..) => "on its way: certificate issued, not confirmed yet".to_owned(),
        (RenewalStatus::None, CertificateStatus::Valid, Some(at)) => {
            format!("by itself from {at} on ({})", self::span(at, now))
        }
        (RenewalStatus::None, CertificateStatus::None, _) => return,
        (RenewalStatus::None, ..) => "due; the running agent does it".to_owned(),
    };
    page.line("Renewal", renewal);
}

fn running(page: &mut Page, agent: &AgentStatus, now: Timestamp) {
    let state = &agent.state;
    if agent.running {
        let since = ago(state.started_at, now);
        page.line("Agent", format!("running, version {}, started {since}", state.agent_version));
    } else {
        page.line("Agent", NOT_RUNNING);
    }
    page.line(
        "Last contact",
        state.last_contact_at.map_or_else(|| "none".to_owned(), |at| format!("{at} ({})", ago(at, now))),
    );
    if let Some(failure) = &state.last_failure {
        page.line("Last failure", format!("{} ({})", failure.message, ago(failure.at, now)));
    }
    if agent.running {
        page.line("Connection", connection(state.connection, &ago(state.connection_since, now)));
    }
    for forward in &state.forwards {
        let trouble = match (&forward.changed_key, &forward.failure) {
            (Some(key), _) => format!(": REFUSED, it shows another key than the pinned one: {key}"),
            (None, Some(failure)) => format!(": {failure}"),
            (None, None) => String::new(),
        };
        page.line("Forward", format!("{} to {}{trouble}", forward.listen, forward.to));
    }
    if let Some(since) = state.quarantined_since {
        page.line(
            "Quarantine",
            format!(
                "since {since} ({}). An admin has to approve this device; the running agent then goes on by itself",
                ago(since, now)
            ),
        );
    }
}

fn connection(state: ConnectionState, since: &str) -> String {
    match state {
        ConnectionState::Connecting => "being opened".to_owned(),
        ConnectionState::Open => format!("open, since {since}"),
        ConnectionState::Lost => format!("lost {since}, being opened again"),
        ConnectionState::Unauthorized => format!(
            "refused {since}. An admin has retired this device or its token; ask for a key to enrol it again"
        ),
        ConnectionState::Superseded => format!(
            "taken over {since} by another process with this device's identity. Is its configuration in use elsewhere?"
        ),
        ConnectionState::Quarantined => format!("closed {since}, the device is quarantined"),
        ConnectionState::Unsupported => "heartbeats only, the server has no WebSocket".to_owned(),
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    if at <= now { format!("{} ago", length(now.since(at))) } else { span(at, now) }
}

/// `in 3 days` or `3 days ago`.
fn span(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", length(at.since(now))) } else { ago(at, now) }
}

/// A length of time in the largest unit of which there are at least two.
fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7199 => (seconds / 60, "minute"),
        7200..=172_799 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_agent::state::{Failure, RunState};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000_000 + seconds)
    }

    fn enrolled() -> Status {
        Status {
            enrolled: true,
            server_url: Some("https://cs.example.com:8443".to_owned()),
            device_name: Some("ws-01".parse().unwrap()),
            device_id: Some("1b4e28ba-2fa1-41d2-883f-0016d3cca427".parse().unwrap()),
            certificate: CertificateStatus::Valid,
            expires: Some(at(90 * 86_400).to_string()),
            renewal_at: Some(at(60 * 86_400)),
            ..Status::of(None, at(0))
        }
    }

    fn running_since(started: i64) -> RunState {
        RunState { last_contact_at: Some(at(-12)), ..RunState::starting("0.1.0", at(started)) }
    }

    #[test]
    fn all_is_well() {
        let state = RunState { connection: ConnectionState::Open, ..running_since(-7200) };
        let status = Status { agent: Some(AgentStatus { running: true, state }), ..enrolled() };
        let expected = "\
Device         ws-01 (1b4e28ba-2fa1-41d2-883f-0016d3cca427)
Server         https://cs.example.com:8443
Configuration  /etc/countersign/agent.yaml
Certificate    valid until 2001-12-08T01:46:40Z (in 90 days)
Renewal        by itself from 2001-11-08T01:46:40Z on (in 60 days)
Agent          running, version 0.1.0, started 2 hours ago
Last contact   2001-09-09T01:46:28Z (12 seconds ago)
Connection     open, since 2 hours ago";
        assert_eq!(page(&status, "/etc/countersign/agent.yaml", at(0)), expected);
    }

    #[test]
    fn what_is_wrong_says_what_to_do() {
        let state = RunState {
            connection: ConnectionState::Superseded,
            quarantined_since: Some(at(-300)),
            last_failure: Some(Failure { at: at(-1), message: "no".to_owned() }),
            ..running_since(-7200)
        };
        let agent = AgentStatus { running: true, state };
        let expired = Status { certificate: CertificateStatus::Expired, agent: Some(agent), ..enrolled() };
        let text = page(&expired, "x", at(100 * 86_400));
        for words in [
            "expired at",
            "10 days ago",
            "an admin",
            "An admin has to approve",
            "configuration in use elsewhere",
        ] {
            assert!(text.to_lowercase().contains(&words.to_lowercase()), "{words} in {text}");
        }
        assert!(page(&enrolled(), "x", at(0)).contains("systemctl start countersign-agent"));
        assert!(page(&Status::of(None, at(0)), "x", at(0)).contains("countersign-agent enroll"));
    }

    #[test]
    fn lengths_of_time_are_short() {
        for (seconds, text) in
            [(0, "0 seconds"), (1, "1 second"), (119, "119 seconds"), (120, "2 minutes"), (172_800, "2 days")]
        {
            assert_eq!(length(Duration::from_secs(seconds)), text);
        }
    }
}
