//! `[acme]`: a certificate for the doors from a public CA.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::uri::Scheme;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::front::Redirect;
use super::hosts::HostSettings;
use super::names::{HttpUrl, PublicName};
use super::pick::{Layers, Picker};
use super::raw::Place;
use super::resolve::{one_of, switch};
use super::settings::{Setting, Shown};

/// Whom everybody asks.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// `[acme]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAcme {
    pub(super) hosts: Place<Vec<String>>,
    pub(super) agree_to_terms: Place<bool>,
    pub(super) contacts: Place<Vec<String>>,
    pub(super) directory: Place<String>,
    pub(super) challenge: Place<String>,
    pub(super) ca_file: Place<String>,
    pub(super) eab_key_id: Place<String>,
    pub(super) eab_key_file: Place<String>,
}

/// A certificate for the doors from a public CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AcmeSettings {
    /// The DNS names in it, never empty.
    pub(crate) hosts: Vec<String>,
    /// Where the CA warns people: mail addresses.
    pub(crate) contacts: Vec<String>,
    /// The CA.
    pub(crate) directory: HttpUrl,
    /// How it sees whose the names are.
    pub(crate) challenge: AcmeChallenge,
    /// The roots that it is trusted by, PEM; the system's, when absent.
    pub(crate) ca_file: Option<PathBuf>,
    /// The account at the CA that a new one is bound to: its id, and the file with its key.
    pub(crate) external_account: Option<(String, PathBuf)>,
}

/// How a CA sees whose a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcmeChallenge {
    /// Over plain HTTP, at the redirect: `http-01`.
    Http,
    /// Over TLS, at the doors: `tls-alpn-01`.
    Tls,
}

impl AcmeSettings {
    /// The key of the account at the CA, out of its file.
    ///
    /// # Errors
    /// When there is no key in it, in base64url as CAs give it.
    pub(crate) fn external_key(path: &PathBuf) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        use anyhow::Context as _;
        let text = Zeroizing::new(fs_err::read_to_string(path).context("read the external account's key")?);
        let key = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('='));
        // The error would quote the key.
        key.map(Zeroizing::new).map_err(|_key| anyhow::anyhow!("{}: no key in base64url", path.display()))
    }
}

/// The certificate that is wanted, if one is.
pub(super) fn acme(
    pick: &mut Picker<'_>,
    raw: RawAcme,
    redirect: Option<&Redirect>,
    others: &[HostSettings],
) -> Option<AcmeSettings> {
    let contacts = pick.list::<String>(Layers::new("acme.contacts", raw.contacts));
    let directory = Layers::new("acme.directory", raw.directory);
    let directory = pick.value(directory, DIRECTORY.parse().ok(), |text| https(&text).map(Some)).0;
    let known = [("http-01", AcmeChallenge::Http), ("tls-alpn-01", AcmeChallenge::Tls)];
    let usual = if redirect.is_some() { AcmeChallenge::Http } else { AcmeChallenge::Tls };
    let challenge = Layers::new("acme.challenge", raw.challenge);
    let (challenge, challenge_at) = pick.value(challenge, usual, |text| one_of(&text, &known));
    if challenge == AcmeChallenge::Http && redirect.is_none() {
        let message = "http-01 needs redirect.listen: the CA looks for each name over plain HTTP, on port 80";
        pick.refuse(&challenge_at, "acme.challenge", message);
    }
    let ca_file = pick.file(Layers::new("acme.ca_file", raw.ca_file)).map(|(path, _)| path);
    let id = pick.given(Layers::new("acme.eab_key_id", raw.eab_key_id));
    let key = pick.file(Layers::new("acme.eab_key_file", raw.eab_key_file));
    match (&id, &key) {
        (Some((_, at)), None) => pick.refuse(at, "acme.eab_key_id", "needs acme.eab_key_file beside it"),
        (None, Some((_, at))) => pick.refuse(at, "acme.eab_key_file", "needs acme.eab_key_id beside it"),
        (None, None) | (Some(_), Some(_)) => {}
    }
    let agreed = switch(pick, Layers::new("acme.agree_to_terms", raw.agree_to_terms));
    let (names, origin) = pick.list::<PublicName>(Layers::new("acme.hosts", raw.hosts))?;
    if names.is_empty() {
        return None;
    }
    if !agreed {
        let message = "must be true: the CA issues to nobody who has not agreed to its terms of service";
        pick.refuse(&origin, "acme.agree_to_terms", message);
    }
    let mut hosts = Vec::with_capacity(names.len());
    for name in names {
        match name {
            PublicName::Dns(name) => hosts.push(name),
            PublicName::Ip(address) => {
                pick.refuse(&origin, "acme.hosts", format!("{address} is no DNS name"))
            }
        }
    }
    for host in others.iter().filter(|host| host.certificate.is_some()) {
        for name in host.names.iter().filter(|name| hosts.contains(&name.to_string())) {
            pick.refuse(&origin, "acme.hosts", format!("{name} has a certificate of its own in [[host]]"));
        }
    }
    Some(AcmeSettings {
        hosts,
        contacts: contacts.map(|(contacts, _)| contacts).unwrap_or_default(),
        directory: directory?,
        challenge,
        ca_file,
        external_account: id.zip(key).map(|((id, _), (key, _))| (id, key)),
    })
}

fn https(text: &str) -> Result<HttpUrl, String> {
    let url: HttpUrl = text.parse().map_err(|error: super::names::HttpUrlError| error.to_string())?;
    if url.uri().scheme() == Some(&Scheme::HTTPS) { Ok(url) } else { Err("not https".to_owned()) }
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "acme.hosts",
        "",
        "[\"gateway.example.com\"]",
        Shown::Example,
        "DNS names for which the doors show a certificate from a public CA, by ACME. Default: none.",
    ),
    Setting::new(
        "acme.agree_to_terms",
        "",
        "false",
        Shown::Default,
        "Whether you agree to the CA's terms of service; it issues to nobody else.",
    ),
    Setting::new(
        "acme.contacts",
        "",
        "[\"pki@example.com\"]",
        Shown::Example,
        "Mail addresses that the CA may warn. Default: none.",
    ),
    Setting::new(
        "acme.directory",
        "",
        "\"https://acme-v02.api.letsencrypt.org/directory\"",
        Shown::Default,
        "The CA's directory.",
    ),
    Setting::new(
        "acme.challenge",
        "",
        "\"http-01\"",
        Shown::Example,
        "How the CA sees whose the names are: http-01, over plain HTTP on port 80, where [redirect] has to listen; or\ntls-alpn-01, over TLS on port 443, at any door. Default: http-01 where there is a redirect, else tls-alpn-01.",
    ),
    Setting::new(
        "acme.ca_file",
        "",
        "\"acme-root.pem\"",
        Shown::Example,
        "Roots that the directory is trusted by, PEM. Default: the system's.",
    ),
    Setting::new(
        "acme.eab_key_id",
        "",
        "\"kid-1\"",
        Shown::Example,
        "Id of the account that you have with the CA, where it wants one (external account binding).",
    ),
    Setting::new(
        "acme.eab_key_file",
        "",
        "\"eab.key\"",
        Shown::Example,
        "File with that account's key, base64url.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;
    use super::AcmeChallenge;

    #[test]
    fn a_host_and_the_terms_are_enough() {
        let text =
            "[acme]\nhosts = [\"A.example\"]\nagree_to_terms = true\n[redirect]\nlisten = \"0.0.0.0:80\"\n";
        let acme = read(text).unwrap().resolved.acme.unwrap();
        assert_eq!(acme.hosts, ["a.example"]);
        assert_eq!(acme.challenge, AcmeChallenge::Http);
        let without = text.split("[redirect]").next().unwrap();
        let over_tls = read(without).unwrap().resolved.acme.unwrap();
        assert_eq!(over_tls.challenge, AcmeChallenge::Tls);
        assert!(acme.directory.uri().to_string().contains("letsencrypt"));
        assert_eq!(read("[acme]\nagree_to_terms = true\n").unwrap().resolved.acme, None);
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        for (text, said) in [
            ("hosts = [\"a.example\"]", "/etc/cs/c.toml:2: acme.agree_to_terms: must be true"),
            ("challenge = \"http-01\"", "/etc/cs/c.toml:2: acme.challenge: http-01 needs redirect.listen"),
            ("challenge = \"dns-01\"", "/etc/cs/c.toml:2: acme.challenge: "),
            ("hosts = [\"192.0.2.1\"]", "/etc/cs/c.toml:2: acme.hosts: 192.0.2.1 is no DNS name"),
            ("hosts = [\"*.example\"]", "/etc/cs/c.toml:2: acme.hosts: not a host name"),
            ("directory = \"http://a.example\"", "/etc/cs/c.toml:2: acme.directory: not https"),
            ("eab_key_id = \"x\"", "/etc/cs/c.toml:2: acme.eab_key_id: needs acme.eab_key_file"),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&format!("[acme]\n{text}\n")) else {
                panic!("not refused: {text}")
            };
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert!(problems.iter().any(|problem| problem.starts_with(said)), "{said}: {problems:#?}");
        }
    }
}
