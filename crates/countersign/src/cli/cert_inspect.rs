//! `countersign cert inspect`: what a certificate says, for people.

use std::fmt::{Display, Write as _};

use anyhow::Context as _;
use countersign_ca::{CertificateDescription, CertificateFault};
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use countersign_tls::certificates_of;
use serde_json::{Value, json};

use super::cert_arguments::CertInspectArguments;
use super::cert_verify::read;
use super::failure::Failure;
use super::output::{print, print_json};

/// Describes every certificate of the file.
pub(super) fn run(arguments: &CertInspectArguments) -> Result<(), Failure> {
    let at = arguments.at.unwrap_or_else(|| SystemClock.now());
    let name = arguments.file.display();
    let chain = certificates_of(&read(&arguments.file)?).with_context(|| format!("read {name}"));
    let chain = chain.map_err(|error| {
        Failure::bad_usage(error)
            .hint("it takes certificates in PEM or DER; keys, requests and lists are none")
    })?;
    let descriptions = described(&chain, at, name)?;
    if arguments.json {
        let certificates: Vec<_> = descriptions.iter().map(|one| as_json(one, at)).collect();
        print_json(&json!({ "at": at, "certificates": certificates }))?;
    } else {
        let texts: Vec<_> = descriptions.iter().map(|one| text(one, at)).collect();
        print(&texts.join("\n"))?;
    }
    Ok(())
}

/// What every certificate of a chain says; `name` is where it is from.
pub(super) fn described(
    chain: &[Vec<u8>],
    at: Timestamp,
    name: impl Display,
) -> Result<Vec<CertificateDescription>, Failure> {
    let mut descriptions = Vec::with_capacity(chain.len());
    for (place, certificate) in chain.iter().enumerate() {
        let above = chain.get(place.saturating_add(1)).map(Vec::as_slice);
        let issuer = above.filter(|above| is_issuer(above, certificate, at));
        let description = CertificateDescription::of(certificate, issuer, at);
        let number = place.saturating_add(1);
        let description = description.with_context(|| format!("read certificate {number} of {name}"));
        descriptions.push(description.map_err(Failure::bad_usage)?);
    }
    Ok(descriptions)
}

/// By name: whether it really signed is one of the things that are looked at.
fn is_issuer(above: &[u8], certificate: &[u8], at: Timestamp) -> bool {
    let subject = CertificateDescription::of(above, None, at).map(|above| above.subject);
    let issuer = CertificateDescription::of(certificate, None, at).map(|certificate| certificate.issuer);
    matches!((subject, issuer), (Ok(subject), Ok(issuer)) if subject == issuer)
}

/// For people.
pub(super) fn text(description: &CertificateDescription, at: Timestamp) -> String {
    let device = description.identity.as_ref();
    let path_length = description.path_length.map(|length| match length {
        0 => "no CA may follow below it".to_owned(),
        1 => "1 CA may follow below it".to_owned(),
        length => format!("{length} CAs may follow below it"),
    });
    let may = description.key_usage.iter().map(|usage| (*usage).to_owned()).chain(path_length);
    let mut rows = vec![
        ("what", description.role.as_str().to_owned()),
        (
            "device",
            device.map(|one| format!("{} of tenant {}", one.device(), one.tenant())).unwrap_or_default(),
        ),
        ("subject", description.subject.clone()),
        ("names", description.names.join(", ")),
        ("issuer", description.issuer.clone()),
        ("serial", description.serial.clone()),
        ("valid", validity(description, at)),
        ("key", description.key.clone()),
        ("signed", description.signature.clone()),
        ("may", may.collect::<Vec<_>>().join(", ")),
        ("for", description.purposes.join(", ")),
        ("crl", description.crl_urls.join(", ")),
        ("ocsp", description.ocsp_urls.join(", ")),
        ("ca at", description.issuer_urls.join(", ")),
        ("sha256", description.sha256.clone()),
    ];
    match description.faults.as_slice() {
        [] => rows.push(("wrong", "nothing".to_owned())),
        faults => rows.extend(faults.iter().map(|fault| ("wrong", in_words(fault)))),
    }
    rows.extend(description.lints.iter().map(|lint| ("lint", in_words(lint))));
    rows.retain(|(_, value)| !value.is_empty());
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{name:7}  {}", printable(value));
        text
    })
}

fn in_words(fault: &CertificateFault) -> String {
    format!("{}: {}", fault.name, fault.detail)
}

/// What a stranger wrote must not steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|one| if one.is_control() { one.escape_default().collect() } else { vec![one] })
        .collect()
}

fn validity(description: &CertificateDescription, at: Timestamp) -> String {
    let (from, to) = (description.not_before, description.not_after);
    let left = if at < from {
        format!("begins in {}", days(from.secs().saturating_sub(at.secs())))
    } else if to < at {
        format!("over for {}", days(at.secs().saturating_sub(to.secs())))
    } else {
        format!("{} left", days(to.secs().saturating_sub(at.secs())))
    };
    format!("{from} to {to}, {left}")
}

/// Days, and hours when there are few.
fn days(seconds: i64) -> String {
    let (days, hours) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400).div_euclid(3600));
    match (days, hours) {
        (1, _) => "1 day".to_owned(),
        (2.., _) => format!("{days} days"),
        (_, 0) => "less than an hour".to_owned(),
        (_, 1) => "1 hour".to_owned(),
        (_, hours) => format!("{hours} hours"),
    }
}

/// For programs.
pub(super) fn as_json(description: &CertificateDescription, at: Timestamp) -> Value {
    let told = |faults: &[CertificateFault]| -> Vec<Value> {
        faults.iter().map(|fault| json!({ "name": fault.name, "detail": fault.detail })).collect()
    };
    let seconds_left = description.not_after.secs().saturating_sub(at.secs());
    json!({
        "what": description.role.as_str(),
        "device": description.identity.as_ref().map(|identity| json!({
            "tenant": identity.tenant(), "device": identity.device(), "uri": identity.uri(),
        })),
        "subject": description.subject,
        "names": description.names,
        "issuer": description.issuer,
        "serial": description.serial,
        "notBefore": description.not_before,
        "notAfter": description.not_after,
        "secondsLeft": seconds_left,
        "key": description.key,
        "signature": description.signature,
        "keyUsage": description.key_usage,
        "purposes": description.purposes,
        "pathLength": description.path_length,
        "crlUrls": description.crl_urls,
        "ocspUrls": description.ocsp_urls,
        "issuerUrls": description.issuer_urls,
        "sha256": description.sha256,
        "wrong": told(&description.faults),
        "failedLints": told(&description.lints),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_in_the_unit_that_matters() {
        for (seconds, told) in [
            (10, "less than an hour"),
            (3600, "1 hour"),
            (86_399, "23 hours"),
            (86_400, "1 day"),
            (90 * 86_400, "90 days"),
        ] {
            assert_eq!(days(seconds), told);
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nü"), "a\\u{1b}[2Jb\\nü");
    }
}
