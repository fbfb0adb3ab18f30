//! The scope of each admin route, as a type: what [`Allowed`](crate::request::Allowed) names beside the
//! level, so that no route can forget it.

use countersign_core::scope::Scope;

/// The scope that an API token needs for a route.
pub(crate) trait Scoped {
    /// Which one.
    const SCOPE: Scope;
}

macro_rules! scoped {
    ($($name:ident),+ $(,)?) => {$(
        #[doc = concat!("The route needs [`Scope::", stringify!($name), "`].")]
        pub(crate) struct $name;

        impl Scoped for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )+};
}

scoped! {
    TenantsRead, TenantsWrite, SitesRead, SitesWrite, UsersRead, UsersWrite,
    ApiTokensRead, ApiTokensWrite, EnrollmentKeysRead, EnrollmentKeysWrite, DevicesRead, DevicesWrite, CertificatesRead,
    CommandsRead, CommandsWrite, TelemetryRead, TelemetryWrite,
    CertificatesWrite, ServiceCertificatesRead, ServiceCertificatesWrite, CasRead, CasWrite, EdgesRead, EdgesWrite, TrustsRead, TrustsWrite, RulesRead, RulesWrite, SettingsRead, SettingsWrite, AuditRead, AuditWrite, AlertsRead, AlertsWrite, MetricsRead,
}
