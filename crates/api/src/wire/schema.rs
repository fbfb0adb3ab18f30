//! How the types of `core` are described in the OpenAPI document: `core` knows of no such thing, so
//! each of its wire spellings has a name, a form and, where there are few values, all of them here.

use countersign_core::certificate::{CertificateState as State, RevocationReason as Reason};
use countersign_core::command::{CommandKind, CommandState as Command};
use countersign_core::device::DeviceStatus as Status;
use countersign_core::rotation::RotationStep as Step;
use countersign_core::scope::Scope as AnyScope;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A text in the document.
struct Text {
    description: &'static str,
    form: Form,
}

/// What a text looks like.
enum Form {
    Known(KnownFormat),
    Pattern(&'static str),
    OneOf(Vec<&'static str>),
}

impl From<Text> for RefOr<Schema> {
    fn from(text: Text) -> Self {
        let object = ObjectBuilder::new().schema_type(Type::String).description(Some(text.description));
        let object = match text.form {
            Form::Known(format) => object.format(Some(SchemaFormat::KnownFormat(format))),
            Form::Pattern(pattern) => object.pattern(Some(pattern)),
            Form::OneOf(values) => object.enum_values(Some(values)),
        };
        Self::T(object.into())
    }
}

macro_rules! described {
    ($($name:ident, $description:literal, $form:expr;)+) => {$(
        #[doc = $description]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                Text { description: $description, form: $form }.into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

described! {
    Der, "Octets: DER as it is.", Form::Known(KnownFormat::Binary);
    Moment, "A moment in UTC, RFC 3339.", Form::Known(KnownFormat::DateTime);
    AgentId, "An agent's name in agent URLs.", Form::Pattern("^[0-9a-f]{64}$");
    DeviceName, "A device's name.", Form::Pattern("^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$");
    EdgeName, "What people call an edge.", Form::Pattern("^[a-z0-9][a-z0-9-]{0,62}$");
    EdgeStatus, "How an edge is doing.",
        Form::OneOf(vec!["waiting", "lapsed", "attached", "silent", "detached"]);
    TenantSlug, "A tenant's slug.", Form::Pattern("^[a-z0-9][a-z0-9-]{0,62}$");
    SiteSlug, "A site's short name.", Form::Pattern("^[a-z0-9][a-z0-9-]{0,62}$");
    CaName, "A CA's name.", Form::Pattern("^[a-z0-9][a-z0-9-]{0,62}$");
    RotationStep, "How far the rotation of a CA is.",
        Form::OneOf(Step::ALL.iter().map(|step| step.as_str()).collect());
    AdoptionMeasure, "What of devices is measured before a new CA signs for all.",
        Form::OneOf(vec!["trust_bundle", "canary_certificate", "nothing"]);
    TrustName, "What people call CAs of somebody else's.", Form::Pattern("^[a-z0-9][a-z0-9-]{0,62}$");
    MonitorName, "What people call a certificate that is watched.", Form::Pattern("^[a-z0-9][a-z0-9-]{0,62}$");
    MonitorStatus, "How a watched certificate is doing; of several things that are wrong the gravest.",
        Form::OneOf(vec!["waiting", "ok", "expiring", "expired", "changed", "unreachable"]);
    AlertKind, "What kind of cause an alert has.", Form::Pattern("^[a-z][a-z_]{0,62}$");
    Severity, "How grave an alert is.", Form::OneOf(vec!["info", "warning", "critical"]);
    SerialNumber, "A certificate's serial number, lower-case hex.", Form::Pattern("^([0-9a-f]{2}){1,20}$");
    Sha256, "A SHA-256 hash, hex.", Form::Pattern("^[0-9a-f]{64}$");
    DeviceStatus, "Where a device stands.",
        Form::OneOf(Status::ALL.iter().map(|status| status.as_str()).collect());
    CertificateState, "Where a certificate stands.",
        Form::OneOf(State::ALL.iter().map(|state| state.as_str()).collect());
    RevocationReason, "Why a certificate was revoked, in RFC 5280's spelling.",
        Form::OneOf(Reason::ALL.iter().map(|reason| reason.as_str()).collect());
    Enforcement, "Whether a device needs a certificate to be served; `observe` records who would be refused.",
        Form::OneOf(vec!["off", "observe", "enforce"]);
    CommandType, "What a device is asked to do.",
        Form::OneOf(CommandKind::ALL.iter().map(|kind| kind.as_str()).collect());
    CommandForPeople, "What a device may be asked to do by people.",
        Form::OneOf(CommandKind::FOR_PEOPLE.iter().map(|kind| kind.as_str()).collect());
    JobName, "What people call a job.", Form::Pattern("^[a-z0-9][a-z0-9_-]{0,62}$");
    CommandState, "Where a command stands.",
        Form::OneOf(Command::ALL.iter().map(|state| state.as_str()).collect());
    ExpiredCertPolicy, "What happens when an expired certificate asks for a new one.",
        Form::OneOf(vec!["auto_reissue", "quarantine"]);
    ApprovalFate, "What became of an approval.",
        Form::OneOf(vec!["approved", "conflict", "not_found", "forbidden"]);
    RevocationFate, "What became of a revocation.",
        Form::OneOf(vec!["revoked", "already_revoked", "expired", "not_found", "forbidden"]);
    TraitKind, "By what a denied device may be known again.",
        Form::OneOf(vec!["hostname", "hardware_serial"]);
    ServiceLabel, "What people call a service's certificate.", Form::Pattern("^[a-z0-9][a-z0-9-]{0,62}$");
    ServiceProfile, "What a service's certificate is for.",
        Form::OneOf(vec!["service-server", "service-client", "server+client"]);
    ServiceOrigin, "Where a service's certificate came from.", Form::OneOf(vec!["made", "imported"]);
    ServiceState, "Where a service's certificate stands.",
        Form::OneOf(vec!["active", "superseded", "revoked"]);
    ServiceKey, "Where a private key is.", Form::OneOf(vec!["here", "elsewhere"]);
    LeftOfService, "What is left of a certificate that was removed.",
        Form::OneOf(vec!["nothing", "record"]);
    OsType, "An operating system.", Form::OneOf(vec!["windows", "macos", "linux"]);
    Scope, "What an API token may be used for.",
        Form::OneOf(AnyScope::ALL.iter().map(|scope| scope.as_str()).collect());
    Role, "What a person may do, from most to least.",
        Form::OneOf(vec!["owner", "admin", "operator", "viewer"]);
}
