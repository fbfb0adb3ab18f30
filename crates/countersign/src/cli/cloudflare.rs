//! `countersign cloudflare …`: what its commands share.

use anyhow::Context as _;
use countersign_ca::upstream::{Cloudflare, UpstreamError};
use countersign_core::time::{Clock as _, SystemClock, Timestamp};

use super::cloudflare_arguments::CloudflareCommand;
use super::failure::Failure;
use super::{cloudflare_import_rules, cloudflare_push_ca, cloudflare_push_rules, cloudflare_status};
use crate::cloudflare::{NotConfigured, api};
use crate::config::Resolved;

/// Runs one of them.
pub(super) fn run(command: CloudflareCommand) -> Result<(), Failure> {
    match command {
        CloudflareCommand::PushCa(arguments) => cloudflare_push_ca::run(&arguments),
        CloudflareCommand::PushRules(arguments) => cloudflare_push_rules::run(*arguments),
        CloudflareCommand::ImportRules(arguments) => cloudflare_import_rules::run(&arguments),
        CloudflareCommand::Status(arguments) => cloudflare_status::run(*arguments),
    }
}

/// The API of the configured zone, whoever issues.
pub(super) fn configured(config: &Resolved) -> Result<Cloudflare, Failure> {
    let made = api(&config.cloudflare).context("prepare Cloudflare's API");
    made.map_err(|error| {
        let hint = error.is::<NotConfigured>().then_some(
            "make a token at dash.cloudflare.com > My Profile > API Tokens; the zone id is on the zone's overview page",
        );
        let failure = Failure::from(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// The present moment.
pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// What the API did not do, and what helps. `permission` is the one that the call needs.
pub(super) fn refused(error: UpstreamError, doing: &'static str, permission: &'static str) -> Failure {
    let hint = match &error {
        UpstreamError::Forbidden(_) => Some(permission),
        UpstreamError::Transport(_) => {
            Some("is the way to api.cloudflare.com open? a proxy is named in mtls.cloudflare_proxy")
        }
        UpstreamError::Throttled(_) => {
            Some("Cloudflare takes 1,200 calls in five minutes, and then none for five")
        }
        UpstreamError::NotFound(_) => {
            Some("is CLOUDFLARE_ZONE_ID the id of the zone, and may the token see it?")
        }
        UpstreamError::Quota(_)
        | UpstreamError::Refused(_)
        | UpstreamError::Failing(_)
        | UpstreamError::Malformed(_) => None,
    };
    let failure = Failure::from(anyhow::Error::new(error).context(doing));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
