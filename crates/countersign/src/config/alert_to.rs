//! `[[alert_to]]`: who is told of alerts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use countersign_authority::alerts::Severity;
use serde::Deserialize;
use toml::Spanned;

use super::monitors::ServerAddress;
use super::names::HttpUrl;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::Place;
use super::resolve::one_of;
use super::settings::{Setting, Shown};

/// `[[alert_to]]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAlertTo {
    pub(super) name: Place<String>,
    pub(super) kind: Place<String>,
    pub(super) from_severity: Place<String>,
    pub(super) url: Place<String>,
    pub(super) url_file: Place<String>,
    pub(super) ca_file: Place<String>,
    pub(super) server: Place<String>,
    pub(super) tls: Place<String>,
    pub(super) from: Place<String>,
    pub(super) to: Place<Vec<String>>,
    pub(super) user: Place<String>,
    pub(super) password_file: Place<String>,
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlertTo {
    /// What it is called; what has not arrived is kept under this name.
    pub(crate) name: String,
    /// Of nothing that is less grave.
    pub(crate) from: Severity,
    /// How.
    pub(crate) way: AlertWay,
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AlertWay {
    /// By a webhook, as Slack takes it.
    Webhook(AlertPlace),
    /// By Alertmanager.
    Alertmanager(AlertPlace),
    /// By e-mail.
    Mail(AlertMail),
}

/// Where alerts are POSTed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlertPlace {
    url: PlaceUrl,
    /// The roots that it is trusted by, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PlaceUrl {
    Open(HttpUrl),
    /// Whoever knows it may write there: it is in a file.
    Secret(PathBuf),
}

/// How mail is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlertMail {
    /// The mail server.
    pub(crate) server: ServerAddress,
    /// Whether what is said to it is for its ears alone.
    pub(crate) tls: MailTls,
    /// The roots that it is trusted by, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// The sender's address.
    pub(crate) from: String,
    /// Whom it is for; never empty.
    pub(crate) to: Vec<String>,
    /// The account, and the file with its password.
    pub(crate) login: Option<(String, PathBuf)>,
}

/// TLS to a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailTls {
    /// After STARTTLS, or not at all.
    StartTls,
    /// From the first byte.
    Implicit,
    /// None.
    DangerNone,
}

impl AlertPlace {
    /// Where, as it is in its file now.
    ///
    /// # Errors
    /// Fails closed: what would go in the clear over a network goes nowhere.
    pub(crate) fn url(&self) -> anyhow::Result<HttpUrl> {
        match &self.url {
            PlaceUrl::Open(url) => Ok(url.clone()),
            PlaceUrl::Secret(path) => {
                let text = fs_err::read_to_string(path).context("read the URL")?;
                // The error would quote it.
                let url = text.trim().parse::<HttpUrl>().ok().filter(HttpUrl::is_confidential);
                url.with_context(|| format!("{}: not https://HOST/…", path.display()))
            }
        }
    }
}

/// Who is told; names are unique.
pub(super) fn alert_to(pick: &mut Picker<'_>, raw: Vec<Spanned<RawAlertTo>>) -> Vec<AlertTo> {
    let mut names = BTreeSet::new();
    let mut all = Vec::with_capacity(raw.len());
    for entry in raw {
        let origin = pick.origin(&entry.span());
        let Some(one) = target(pick, &origin, entry.into_inner()) else { continue };
        if !names.insert(one.name.clone()) {
            pick.refuse(&origin, "alert_to.name", format!("{:?} is the name of another one", one.name));
        }
        all.push(one);
    }
    all
}

#[derive(Clone, Copy)]
enum Kind {
    Webhook,
    Alertmanager,
    Mail,
}

fn target(pick: &mut Picker<'_>, origin: &Origin, mut raw: RawAlertTo) -> Option<AlertTo> {
    let name = pick.given(Layers::new("alert_to.name", raw.name.take()).only_in_file());
    if name.is_none() {
        pick.refuse(origin, "alert_to.name", "missing: under which name it is kept what has not arrived");
    }
    let known = [("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];
    let from = Layers::new("alert_to.from_severity", raw.from_severity.take()).only_in_file();
    let from = pick.value(from, Severity::Info, |text: String| one_of(&text, &known)).0;
    let kinds = [("webhook", Kind::Webhook), ("alertmanager", Kind::Alertmanager), ("email", Kind::Mail)];
    let kind = Layers::new("alert_to.kind", raw.kind.take()).only_in_file();
    let kind = pick.optional(kind, |text: String| one_of(&text, &kinds));
    let Some((kind, at)) = kind else {
        pick.refuse(origin, "alert_to.kind", "missing, or wrong: webhook, alertmanager or email");
        return None;
    };
    let way = match kind {
        Kind::Webhook => AlertWay::Webhook(place(pick, &at, raw)?),
        Kind::Alertmanager => AlertWay::Alertmanager(place(pick, &at, raw)?),
        Kind::Mail => AlertWay::Mail(mail(pick, &at, raw)?),
    };
    Some(AlertTo { name: name?.0, from, way })
}

fn place(pick: &mut Picker<'_>, origin: &Origin, raw: RawAlertTo) -> Option<AlertPlace> {
    let understand = |text: String| HttpUrl::confidential(&text);
    let url = pick.optional(Layers::new("alert_to.url", raw.url).only_in_file(), understand);
    let file = pick.placed(Layers::new("alert_to.url_file", raw.url_file).only_in_file());
    let ca_file = pick.placed(Layers::new("alert_to.ca_file", raw.ca_file).only_in_file());
    let url = match (url, file) {
        (Some((_, at)), Some(_)) => {
            pick.refuse(&at, "alert_to.url", "alert_to.url_file is set too: it is in one of them");
            return None;
        }
        (Some((url, _)), None) => PlaceUrl::Open(url),
        (None, Some((file, _))) => PlaceUrl::Secret(file),
        (None, None) => {
            pick.refuse(origin, "alert_to.url", "missing, or wrong: https://…, or alert_to.url_file");
            return None;
        }
    };
    Some(AlertPlace { url, ca_file: ca_file.map(|(path, _)| path) })
}

fn mail(pick: &mut Picker<'_>, origin: &Origin, raw: RawAlertTo) -> Option<AlertMail> {
    let server = Layers::new("alert_to.server", raw.server).only_in_file();
    let server = pick.optional(server, |text: String| text.parse::<ServerAddress>());
    let known = [
        ("starttls", MailTls::StartTls),
        ("implicit", MailTls::Implicit),
        ("danger_none", MailTls::DangerNone),
    ];
    let tls = Layers::new("alert_to.tls", raw.tls).only_in_file();
    let tls = pick.value(tls, MailTls::StartTls, |text: String| one_of(&text, &known)).0;
    let address = |text: String| {
        text.parse::<lettre::message::Mailbox>().map(|_right| text).map_err(|error| format!("{error}"))
    };
    let from = pick.optional(Layers::new("alert_to.from", raw.from).only_in_file(), address);
    let to = pick.list::<MailAddress>(Layers::new("alert_to.to", raw.to).only_in_file());
    let ca_file = pick.placed(Layers::new("alert_to.ca_file", raw.ca_file).only_in_file());
    let user = pick.given(Layers::new("alert_to.user", raw.user).only_in_file());
    let password = pick.placed(Layers::new("alert_to.password_file", raw.password_file).only_in_file());
    let login = match (user, password) {
        (Some((user, _)), Some((file, _))) => Some((user, file)),
        (Some((_, at)), None) => {
            pick.refuse(&at, "alert_to.user", "needs alert_to.password_file beside it");
            None
        }
        (None, _) => None,
    };
    let to: Vec<String> = to.map(|(to, _)| to.into_iter().map(|one| one.0).collect()).unwrap_or_default();
    let (Some((server, _)), Some((from, _)), false) = (server, from, to.is_empty()) else {
        pick.refuse(origin, "alert_to.server", "e-mail needs alert_to.server, alert_to.from and alert_to.to");
        return None;
    };
    Some(AlertMail { server, tls, ca_file: ca_file.map(|(path, _)| path), from, to, login })
}

/// An address of mail, as it is written.
struct MailAddress(String);

impl std::str::FromStr for MailAddress {
    type Err = lettre::address::AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<lettre::message::Mailbox>().map(|_right| Self(text.to_owned()))
    }
}

const fn example(key: &'static str, sample: &'static str, doc: &'static str) -> Setting {
    Setting::new(key, "", sample, Shown::Example, doc)
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    example(
        "alert_to.name",
        "\"on-call\"",
        "Who is told of alerts, unique: what has not arrived is kept under this name, and told after a restart.",
    ),
    example("alert_to.kind", "\"webhook\"", "webhook (as Slack takes it), alertmanager, or email. Needed."),
    Setting::new(
        "alert_to.from_severity",
        "",
        "\"info\"",
        Shown::Default,
        "How grave an alert must be at least: info, warning or critical.",
    ),
    example(
        "alert_to.url",
        "\"https://alertmanager.example.com:9093\"",
        "Where a webhook or Alertmanager is; plain HTTP within this machine alone.",
    ),
    example(
        "alert_to.url_file",
        "\"slack.url\"",
        "The same in a file: whoever knows a webhook's may write there.",
    ),
    example(
        "alert_to.ca_file",
        "\"mail-ca.pem\"",
        "Roots that it is trusted by, PEM. Default: the system's.",
    ),
    example("alert_to.server", "\"mail.example.com:587\"", "The mail server that takes e-mail."),
    Setting::new(
        "alert_to.tls",
        "",
        "\"starttls\"",
        Shown::Default,
        "TLS to the mail server: starttls, implicit (from the first byte), or danger_none.",
    ),
    example("alert_to.from", "\"countersign@example.com\"", "The sender's address."),
    example("alert_to.to", "[\"on-call@example.com\"]", "Whom e-mail is for."),
    example("alert_to.user", "\"countersign\"", "The account at the mail server. Default: none."),
    example("alert_to.password_file", "\"mail.password\"", "File with its password. Default: none."),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;
    use super::*;

    #[test]
    fn each_kind_is_read() {
        let text = "[[alert_to]]\nname = \"a\"\nkind = \"webhook\"\nurl_file = \"u\"\nfrom_severity = \"warning\"\n\
                    [[alert_to]]\nname = \"b\"\nkind = \"alertmanager\"\nurl = \"http://127.0.0.1:9093\"\n\
                    [[alert_to]]\nname = \"c\"\nkind = \"email\"\nserver = \"mail.example.com:587\"\n\
                    from = \"a@example.com\"\nto = [\"On call <b@example.com>\"]\n";
        let all = read(text).unwrap().resolved.alert_to;
        assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((all[0].from, all[1].from), (Severity::Warning, Severity::Info));
        assert!(matches!(&all[2].way, AlertWay::Mail(mail) if mail.tls == MailTls::StartTls));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("kind = \"webhook\"\nurl = \"https://a.example/\"", "alert_to.name: missing"),
            ("name = \"a\"", "alert_to.kind: missing"),
            ("name = \"a\"\nkind = \"pager\"", "alert_to.kind: \"pager\" is not one of"),
            ("name = \"a\"\nkind = \"webhook\"", "alert_to.url: missing"),
            ("name = \"a\"\nkind = \"webhook\"\nurl = \"http://a.example/\"", "alert_to.url: plain HTTP"),
            ("name = \"a\"\nkind = \"email\"\nserver = \"a:25\"", "alert_to.server: e-mail needs"),
            ("name = \"a\"\nkind = \"email\"\nfrom = \"nobody\"", "alert_to.from"),
            ("name = \"a\"\nkind = \"email\"\nuser = \"u\"", "alert_to.user: needs"),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&format!("[[alert_to]]\n{text}\n")) else {
                panic!("{text}")
            };
            assert!(problems.iter().any(|one| one.to_string().contains(said)), "{said}: {problems:#?}");
        }
    }
}
