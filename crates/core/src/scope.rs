//! Scopes: what an API token may be used for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

macro_rules! scopes {
    ($($(#[$doc:meta])* $variant:ident => $text:literal),+ $(,)?) => {
        /// One kind of call, `resource:verb`. The names are stable. Writing does not include reading.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope { $($(#[$doc])* $variant),+ }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

scopes! {
    /// See tenants.
    TenantsRead => "tenants:read",
    /// Make, suspend and resume tenants.
    TenantsWrite => "tenants:write",
    /// See sites.
    SitesRead => "sites:read",
    /// Make, rename and delete sites.
    SitesWrite => "sites:write",
    /// See people.
    UsersRead => "users:read",
    /// Invite and change people.
    UsersWrite => "users:write",
    /// See API tokens.
    ApiTokensRead => "api-tokens:read",
    /// Revoke API tokens; making one needs a session.
    ApiTokensWrite => "api-tokens:write",
    /// See enrolment keys.
    EnrollmentKeysRead => "enrollment-keys:read",
    /// Make and revoke enrolment keys.
    EnrollmentKeysWrite => "enrollment-keys:write",
    /// See devices and the quarantine queue.
    DevicesRead => "devices:read",
    /// Change, quarantine, approve, deny and decommission devices.
    DevicesWrite => "devices:write",
    /// See commands to devices and their results.
    CommandsRead => "commands:read",
    /// Send commands to devices.
    CommandsWrite => "commands:write",
    /// See what devices sent over MQTT, and what was set aside of it.
    TelemetryRead => "telemetry:read",
    /// Release messages that were set aside.
    TelemetryWrite => "telemetry:write",
    /// See certificates.
    CertificatesRead => "certificates:read",
    /// Revoke certificates.
    CertificatesWrite => "certificates:write",
    /// See certificates of services.
    ServiceCertificatesRead => "service-certificates:read",
    /// Issue, renew, revoke, import and remove certificates of services.
    ServiceCertificatesWrite => "service-certificates:write",
    /// See CAs and how far their rotations are.
    CasRead => "cas:read",
    /// Rotate CAs.
    CasWrite => "cas:write",
    /// See edges.
    EdgesRead => "edges:read",
    /// Add and revoke edges.
    EdgesWrite => "edges:write",
    /// See the CAs of others that doors trust.
    TrustsRead => "trusts:read",
    /// Add and remove CAs of others that doors trust.
    TrustsWrite => "trusts:write",
    /// See rules, and try them.
    RulesRead => "rules:read",
    /// Change the rules that are kept in the database.
    RulesWrite => "rules:write",
    /// See settings.
    SettingsRead => "settings:read",
    /// Change settings.
    SettingsWrite => "settings:write",
    /// Read the audit.
    AuditRead => "audit:read",
    /// Sign anchors of the audit.
    AuditWrite => "audit:write",
    /// See alerts and silences.
    AlertsRead => "alerts:read",
    /// Acknowledge and silence alerts.
    AlertsWrite => "alerts:write",
    /// Read metrics.
    MetricsRead => "metrics:read",
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a scope: {0:?}")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let known = Self::ALL.iter().copied().find(|scope| scope.as_str() == text);
        known.ok_or_else(|| UnknownScope(text.chars().take(80).collect()))
    }
}

/// The scopes of an API token; never none. As a text: their names, separated by spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// These scopes; `None` when there are none, for an empty list must not come to mean everything.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Option<Self> {
        let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
        (!scopes.is_empty()).then_some(Self(scopes))
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Each of them, in the order of [`Scope::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { " " };
            write!(f, "{separator}{scope}")?;
        }
        Ok(())
    }
}

/// Fails closed: one unknown name, or none at all, and nothing is read.
impl FromStr for Scopes {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let scopes: BTreeSet<Scope> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        Self::new(scopes).ok_or_else(|| UnknownScope(String::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_reads_back_and_is_a_resource_and_a_verb() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
            let (resource, verb) = scope.as_str().split_once(':').unwrap();
            assert!(!resource.is_empty() && ["read", "write"].contains(&verb), "{scope}");
        }
        let names: BTreeSet<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        assert_eq!(names.len(), Scope::ALL.len());
    }

    #[test]
    fn a_list_reads_back_whatever_its_order() {
        let scopes: Scopes = "audit:read  devices:read audit:read".parse().unwrap();
        assert_eq!(scopes.to_string(), "devices:read audit:read");
        assert_eq!(scopes.to_string().parse(), Ok(scopes.clone()));
        assert!(scopes.contains(Scope::AuditRead) && !scopes.contains(Scope::DevicesWrite));
    }

    #[test]
    fn fails_closed_on_no_scopes_and_on_unknown_ones() {
        for text in ["", " ", "devices", "devices:*", "*", "devices:read devices:all", "Devices:read"] {
            assert!(text.parse::<Scopes>().is_err(), "{text:?}");
        }
        assert_eq!(Scopes::new([]), None);
    }
}
