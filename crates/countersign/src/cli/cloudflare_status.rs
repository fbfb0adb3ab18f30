//! `countersign cloudflare status`: whether the token works, and what the zone has.

use countersign_ca::upstream::{CertificateStatus, Ruleset, UpstreamCertificate, UpstreamError};
use serde_json::{Value, json};

use super::cloudflare::{configured, now, refused};
use super::cloudflare_arguments::StatusArguments;
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};

const STATUSES: [CertificateStatus; 5] = [
    CertificateStatus::Active,
    CertificateStatus::PendingRevocation,
    CertificateStatus::Revoked,
    CertificateStatus::PendingReactivation,
    CertificateStatus::Unknown,
];

/// Asks for the certificates, and for the rules as far as the token may see them.
pub(super) fn run(arguments: StatusArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let api = configured(&config)?;
    let (certificates, rules) = block_on(async {
        let certificates = api.certificates(now()).await.map_err(|error| {
            let permission = "the token needs Zone > SSL and Certificates > Edit, on this zone";
            refused(error, "list the zone's client certificates", permission)
        })?;
        Ok((certificates, api.rules(now()).await))
    })?;
    let zone = api.zone().to_string();
    let printed = if arguments.json {
        print_json(&as_json(&zone, &certificates, &rules))
    } else {
        print(&text(&zone, &certificates, &rules))
    };
    Ok(printed?)
}

fn count(certificates: &[UpstreamCertificate], status: CertificateStatus) -> usize {
    certificates.iter().filter(|certificate| certificate.status == status).count()
}

fn text(zone: &str, certificates: &[UpstreamCertificate], rules: &Result<Ruleset, UpstreamError>) -> String {
    let counts: String = STATUSES
        .iter()
        .map(|status| (status.as_str(), count(certificates, *status)))
        .filter(|(name, count)| *count > 0 || *name == "active")
        .map(|(name, count)| format!("  {name:<22}{count}\n"))
        .collect();
    let rules = match rules {
        Ok(ruleset) => format!("{}", ruleset.rules.len()),
        Err(error) => format!("not known: {error}"),
    };
    format!(
        "The token works.\nzone                    {zone}\nclient certificates     {}\n{counts}custom rules            {rules}\n",
        certificates.len()
    )
}

fn as_json(
    zone: &str,
    certificates: &[UpstreamCertificate],
    rules: &Result<Ruleset, UpstreamError>,
) -> Value {
    let counts: serde_json::Map<String, Value> = STATUSES
        .iter()
        .map(|status| (status.as_str().to_owned(), Value::from(count(certificates, *status))))
        .collect();
    let rules = rules.as_ref().map_or(Value::Null, |ruleset| Value::from(ruleset.rules.len()));
    json!({ "zone": zone, "certificates": counts, "customRules": rules })
}
