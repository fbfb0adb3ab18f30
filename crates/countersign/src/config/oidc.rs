//! `[oidc]` and `[[oidc_role]]`: signing in to the console at an identity provider.

use std::path::PathBuf;

use countersign_authority::SecretFile;
use countersign_authority::oidc::OidcMapping;
use countersign_authority::users::Role;
use countersign_core::ids::Tenant;
use serde::Deserialize;
use toml::Spanned;

use super::keys::credential;
use super::names::HttpUrl;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::Place;
use super::settings::{Setting, Shown};

/// What people call a provider that has no name.
const NAME: &str = "single sign-on";

/// `[oidc]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawOidc {
    pub(super) issuer: Place<String>,
    pub(super) client_id: Place<String>,
    pub(super) client_secret_file: Place<String>,
    pub(super) client_secret_credential: Place<String>,
    pub(super) console_url: Place<String>,
    pub(super) scopes: Place<Vec<String>>,
    pub(super) name: Place<String>,
    pub(super) ca_file: Place<String>,
}

/// `[[oidc_role]]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawOidcRole {
    pub(super) claim: Place<String>,
    pub(super) value: Place<String>,
    pub(super) role: Place<String>,
    pub(super) tenant: Place<String>,
}

/// An identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Oidc {
    /// Exactly as it calls itself.
    pub(crate) issuer: String,
    /// What we are called there.
    pub(crate) client_id: String,
    /// With what we show that we are it.
    pub(crate) client_secret: SecretFile,
    /// Where browsers reach the console.
    pub(crate) console_url: String,
    /// What is asked for besides `openid`.
    pub(crate) scopes: Vec<String>,
    /// What people call it.
    pub(crate) name: String,
    /// The roots that it is trusted by, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Who is let in as what.
    pub(crate) people: Vec<OidcMapping>,
}

/// The provider, if there is one.
pub(super) fn oidc(pick: &mut Picker<'_>, raw: RawOidc, roles: Vec<Spanned<RawOidcRole>>) -> Option<Oidc> {
    let people = roles.into_iter().filter_map(|entry| mapping(pick, entry)).collect();
    let issuer = Layers::new("oidc.issuer", raw.issuer);
    let issuer = pick.optional(issuer, |text: String| HttpUrl::confidential(&text).map(|_url| text));
    let client_id = pick.given(Layers::new("oidc.client_id", raw.client_id));
    let file = pick.placed(Layers::new("oidc.client_secret_file", raw.client_secret_file));
    let file = file.map(|(path, _)| SecretFile::Own(path));
    let laid_down = Layers::new("oidc.client_secret_credential", raw.client_secret_credential);
    let laid_down = credential(pick, laid_down);
    let console = Layers::new("oidc.console_url", raw.console_url);
    let console = pick.optional(console, |text: String| console_url(&text));
    let scopes = pick.given(Layers::new("oidc.scopes", raw.scopes)).map(|(scopes, _)| scopes);
    let name = pick.given(Layers::new("oidc.name", raw.name)).map(|(name, _)| name);
    let ca_file = pick.file(Layers::new("oidc.ca_file", raw.ca_file)).map(|(path, _)| path);
    let (issuer, at) = issuer?;
    if let (Some(_), Some(other)) = (&file, &laid_down) {
        pick.refuse(
            &other.origin,
            other.key,
            "oidc.client_secret_file is set too: it comes from one of them",
        );
    }
    let secret = file.or(laid_down.map(|named| named.file));
    let mut need = |is_there: bool, key: &str, message: &str| {
        if !is_there {
            pick.refuse(&at, key, message);
        }
    };
    need(client_id.is_some(), "oidc.client_id", "missing: what the provider calls this installation");
    need(
        secret.is_some(),
        "oidc.client_secret_file",
        "missing: a file with the client's secret, or oidc.client_secret_credential",
    );
    need(console.is_some(), "oidc.console_url", "missing: where browsers reach the console, https://HOST");
    Some(Oidc {
        issuer,
        client_id: client_id?.0,
        client_secret: secret?,
        console_url: console?.0,
        scopes: scopes.unwrap_or_else(|| vec!["email".to_owned(), "profile".to_owned()]),
        name: name.unwrap_or_else(|| NAME.to_owned()),
        ca_file,
        people,
    })
}

/// Where browsers reach the console.
pub(super) fn console_url(text: &str) -> Result<String, String> {
    let url = HttpUrl::confidential(text)?;
    if url.uri().path() == "/" { Ok(url.to_string()) } else { Err(format!("has a path: {text:?}")) }
}

fn mapping(pick: &mut Picker<'_>, entry: Spanned<RawOidcRole>) -> Option<OidcMapping> {
    let origin = pick.origin(&entry.span());
    let raw = entry.into_inner();
    let claim = pick.given(Layers::new("oidc_role.claim", raw.claim).only_in_file());
    let value = pick.given(Layers::new("oidc_role.value", raw.value).only_in_file());
    let role = Layers::new("oidc_role.role", raw.role).only_in_file();
    let role = pick.optional(role, |text: String| {
        text.parse::<Role>().map_err(|_unknown| format!("owner, admin, operator or viewer, not {text:?}"))
    });
    let tenant = Layers::new("oidc_role.tenant", raw.tenant).only_in_file();
    let tenant = pick.optional(tenant, |text: String| text.parse::<Tenant>());
    for (is_there, key) in [
        (claim.is_some(), "oidc_role.claim"),
        (value.is_some(), "oidc_role.value"),
        (role.is_some(), "oidc_role.role"),
    ] {
        missing(pick, &origin, is_there, key);
    }
    let (role, tenant) = (role?.0, tenant.map(|(tenant, _)| tenant));
    if role == Role::Owner && tenant.is_some() {
        pick.refuse(&origin, "oidc_role.tenant", "an owner is bound to no tenant");
    }
    Some(OidcMapping { claim: claim?.0, value: value?.0, role, tenant })
}

fn missing(pick: &mut Picker<'_>, origin: &Origin, is_there: bool, key: &str) {
    if !is_there {
        pick.refuse(origin, key, "missing, or wrong");
    }
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    example(
        "oidc.issuer",
        "\"https://id.example.com\"",
        "An identity provider (OpenID Connect) at which people sign in to the console, exactly as it calls itself.\nDefault: none.",
    ),
    example("oidc.client_id", "\"countersign\"", "What this installation is called there."),
    example(
        "oidc.client_secret_file",
        "\"/etc/countersign-server/oidc-secret\"",
        "A file with the client's secret, which others cannot read.",
    ),
    example(
        "oidc.client_secret_credential",
        "\"oidc-secret\"",
        "The same as a credential that systemd lays down.",
    ),
    example(
        "oidc.console_url",
        "\"https://countersign.example.com\"",
        "Where browsers reach the console. The provider sends them back to /console/oidc/callback below it, which\nhas to be registered there.",
    ),
    Setting::new(
        "oidc.scopes",
        "",
        "[\"email\", \"profile\"]",
        Shown::Default,
        "What is asked for besides openid.",
    ),
    Setting::new(
        "oidc.name",
        "",
        "\"single sign-on\"",
        Shown::Default,
        "What the button on the sign-in page calls it.",
    ),
    example(
        "oidc.ca_file",
        "\"/etc/countersign-server/id-ca.pem\"",
        "The roots that the provider is trusted by, PEM. Default: those of the system.",
    ),
    example(
        "oidc_role.claim",
        "\"groups\"",
        "Who is let in by the provider as what. The first that fits counts; nobody whom none fits is let in. A claim\nof the ID token, a text or a list; realm_access.roles leads into an object.",
    ),
    example("oidc_role.value", "\"fleet-operators\"", "What it has to be, or to have in its list."),
    example("oidc_role.role", "\"operator\"", "What they may do: owner, admin, operator or viewer."),
    example("oidc_role.tenant", "\"acme\"", "The only tenant that they see, by its slug. Default: all."),
];

const fn example(key: &'static str, sample: &'static str, doc: &'static str) -> Setting {
    Setting::new(key, "", sample, Shown::Example, doc)
}

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;

    fn problems(file: &str) -> Vec<String> {
        let Err(ConfigError::Problems(problems)) = read(file) else { panic!("{file}") };
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn there_is_none_unless_an_issuer_is_given() {
        assert_eq!(read("").unwrap().resolved.oidc, None);
        assert_eq!(read("[oidc]\nname = \"ours\"\n").unwrap().resolved.oidc, None);
    }

    #[test]
    fn what_is_missing_or_in_the_clear_is_named() {
        let said = problems("[oidc]\nissuer = \"https://id.example.com\"\n").join("\n");
        for key in ["oidc.client_id", "oidc.client_secret_file", "oidc.console_url"] {
            assert!(said.contains(&format!("{key}: missing")), "{said}");
        }
        let said = problems("[oidc]\nissuer = \"http://id.example.com\"\n").join("\n");
        assert!(said.contains("oidc.issuer: plain HTTP leaves this machine"), "{said}");
        let said = problems("[oidc]\nconsole_url = \"https://c.example.com/console\"\n").join("\n");
        assert!(said.contains("oidc.console_url: has a path"), "{said}");
    }

    #[test]
    fn a_role_needs_what_it_is_given_for() {
        let said = problems("[[oidc_role]]\nclaim = \"groups\"\nrole = \"king\"\n").join("\n");
        assert!(said.contains("oidc_role.value: missing") && said.contains("not \"king\""), "{said}");
        let bound = "[[oidc_role]]\nclaim = \"g\"\nvalue = \"v\"\nrole = \"owner\"\ntenant = \"acme\"\n";
        assert!(problems(bound).join("\n").contains("an owner is bound to no tenant"));
    }
}
