//! What people may ask for: a profile by its word, and a label that is not the platform's own.

use std::fmt;
use std::str::FromStr;

use countersign_ca::{Profile, Purpose, ServerPurposes, ServiceNames, purposes_of};
use countersign_core::ids::ServiceLabel;
use countersign_store::ServiceCertificateRow;
use thiserror::Error;

/// What the platform calls certificates of its own: of doors, OCSP responders and edges.
const OWN_LABELS: [&str; 4] = ["door", "ocsp", "edge", "edge-door"];

/// What a service's certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceProfile {
    /// A server.
    Server,
    /// A client of others.
    Client,
    /// Both.
    ServerAndClient,
}

impl ServiceProfile {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Server, Self::Client, Self::ServerAndClient];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "service-server",
            Self::Client => "service-client",
            Self::ServerAndClient => "server+client",
        }
    }

    /// The profile of a certificate with these names.
    #[must_use]
    pub fn with(self, names: ServiceNames) -> Profile {
        match self {
            Self::Server => Profile::ServiceServer { names, purposes: ServerPurposes::Server },
            Self::ServerAndClient => {
                Profile::ServiceServer { names, purposes: ServerPurposes::ServerAndClient }
            }
            Self::Client => Profile::ServiceClient { names },
        }
    }

    /// What a certificate on record is for; `None`: it is the platform's own.
    #[must_use]
    pub fn of(row: &ServiceCertificateRow) -> Option<Self> {
        let is_client = || purposes_of(&row.der).contains(&Purpose::ClientAuth);
        match row.profile.as_str() {
            "service-client" => Some(Self::Client),
            "service-server" if is_client() => Some(Self::ServerAndClient),
            "service-server" => Some(Self::Server),
            _ => None,
        }
    }
}

impl fmt::Display for ServiceProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word for no profile of services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be service-server, service-client or server+client")]
pub struct UnknownProfile;

impl FromStr for ServiceProfile {
    type Err = UnknownProfile;
    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == text).ok_or(UnknownProfile)
    }
}

/// What people call a service's certificate; never what the platform calls its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeLabel(ServiceLabel);

/// A label that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LabelError {
    /// No label at all.
    #[error("{0}")]
    Invalid(String),
    /// The platform's own.
    #[error("is what the platform calls certificates of its own")]
    Taken,
}

impl FromStr for FreeLabel {
    type Err = LabelError;
    fn from_str(text: &str) -> Result<Self, LabelError> {
        let label: ServiceLabel = text.parse().map_err(|error| LabelError::Invalid(format!("{error}")))?;
        if is_own(&label) { Err(LabelError::Taken) } else { Ok(Self(label)) }
    }
}

impl From<FreeLabel> for ServiceLabel {
    fn from(label: FreeLabel) -> Self {
        label.0
    }
}

/// Whether the platform has such certificates itself, and sees to them itself.
pub(crate) fn is_own(label: &ServiceLabel) -> bool {
    OWN_LABELS.contains(&label.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_have_words() {
        for profile in ServiceProfile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        assert!("device".parse::<ServiceProfile>().is_err() && "ocsp".parse::<ServiceProfile>().is_err());
    }

    #[test]
    fn the_platforms_own_labels_cannot_be_had() {
        assert_eq!("web".parse::<FreeLabel>().map(ServiceLabel::from), Ok("web".parse().unwrap()));
        assert_eq!("door".parse::<FreeLabel>(), Err(LabelError::Taken));
        assert_eq!("ocsp".parse::<FreeLabel>(), Err(LabelError::Taken));
        assert!(matches!("No Label".parse::<FreeLabel>(), Err(LabelError::Invalid(_))));
    }
}
