//! Every failure of a request: its status, its stable code and its two messages, the external one
//! for the client and the internal one for the log.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use countersign_api::ErrorBody;
use countersign_authority::Forbidden;
use countersign_authority::agent::AgentAuthError;
use countersign_authority::anchors::AnchorError;
use countersign_authority::audit::StoreError;
use countersign_authority::bulk_revoke::BulkRevokeError;
use countersign_authority::challenge::ChallengeError;
use countersign_authority::channels::OpenChannelError;
use countersign_authority::commands::{QueueCommandError, RecordResultError};
use countersign_authority::confirm::ConfirmError;
use countersign_authority::denials::LiftError;
use countersign_authority::devices::LookError;
use countersign_authority::enrol::EnrolError;
use countersign_authority::enrollment_keys::{CreateKeyError, RevokeKeyError};
use countersign_authority::limits::TooMany;
use countersign_authority::people::SetupError;
use countersign_authority::presence::HeartbeatError;
use countersign_authority::quarantine::DecisionError;
use countersign_authority::renew::RenewError;
use countersign_authority::revoke::RevokeError;
use countersign_authority::rollout::RollBackError;
use countersign_authority::token::{RevokeTokenError, RotateTokenError};
use countersign_authority::unenroll::UnenrolError;
use countersign_core::access::Refusal;
use http::{HeaderName, HeaderValue, StatusCode, header};

mod edges;
mod people;
mod rotation;
mod services;
mod tenants;
mod trusts;

/// When a client may ask again that met a store that did not answer.
const STORE_AGAIN: Duration = Duration::from_secs(5);

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// Boxed: failures are rare, results are not.
    pub(crate) body: Box<ErrorBody>,
    retry_after: Option<Duration>,
    /// What the answer says in headers of its own.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What went wrong on our side: for the log alone.
    cause: Option<String>,
    /// What whoever asks why should know, and the client need not.
    facts: BTreeMap<String, String>,
}

/// What the outermost layer finds in a failed response.
#[derive(Clone, Debug)]
pub(crate) struct FailedWith {
    /// Becomes the answer's body.
    pub(crate) body: ErrorBody,
    /// Goes to the log.
    pub(crate) cause: Option<String>,
    /// Goes to `countersign explain`.
    pub(crate) facts: BTreeMap<String, String>,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &str, sentence: impl Into<String>) -> Self {
        let body = Box::new(ErrorBody::new(code, sentence));
        let (retry_after, cause, facts) = (None, None, BTreeMap::new());
        Self { status, body, retry_after, headers: Vec::new(), cause, facts }
    }

    /// The same with a header.
    pub(crate) fn saying(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same failure with a fact for whoever asks why; never a secret.
    pub(crate) fn fact(mut self, name: &str, value: &dyn std::fmt::Display) -> Self {
        self.facts.insert(name.to_owned(), value.to_string());
        self
    }

    /// 401: never says what was wrong.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "Unauthorized")
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("There is no such {what}"))
    }

    pub(crate) fn invalid(fields: BTreeMap<String, String>) -> Self {
        let mut failure =
            Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", "The request has invalid fields");
        failure.body.fields = fields;
        failure
    }

    pub(crate) fn invalid_field(field: &str, problem: impl Into<String>) -> Self {
        Self::invalid(BTreeMap::from([(field.to_owned(), problem.into())]))
    }

    pub(crate) fn too_many(limit: TooMany) -> Self {
        let mut failure =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", "Too many requests; retry later");
        failure.retry_after = Some(limit.retry_after);
        failure
    }

    /// 500, or 503 where the database is away: the cause goes to the log, not to the client.
    pub(crate) fn internal(error: &(dyn Error + 'static)) -> Self {
        let store = causes(error).find_map(|cause| cause.downcast_ref::<StoreError>());
        if store.is_some_and(StoreError::is_outage) {
            return Self::not_ready(error);
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Something went wrong on our side")
            .caused_by(error)
    }

    /// 503: the store does not answer.
    pub(crate) fn not_ready(error: &(dyn Error + 'static)) -> Self {
        let mut failure =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", "The store does not answer; retry later");
        failure.retry_after = Some(STORE_AGAIN);
        failure.caused_by(error)
    }

    fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        self.cause = Some(with_causes(error));
        self
    }

    fn conflict(code: &str, sentence: &str, state: impl Into<String>) -> Self {
        let mut failure = Self::new(StatusCode::CONFLICT, code, sentence);
        failure.body.state = Some(state.into());
        failure
    }

    fn with_reason(mut self, reason: &str) -> Self {
        self.body.reason = Some(reason.to_owned());
        self
    }

    fn quarantined() -> Self {
        Refusal::Quarantined.into()
    }

    fn denied_key() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "KEY_DENIED",
            "This public key is denied or belonged to a revoked certificate; make a fresh one",
        )
    }

    fn unavailable() -> Self {
        let mut failure = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ISSUER_UNAVAILABLE",
            "No certificate can be issued now; retry later",
        );
        failure.retry_after = Some(Duration::from_secs(60));
        failure
    }
}

/// An error and everything that caused it.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// The same in words.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response.headers_mut().extend(self.headers);
        response.extensions_mut().insert(FailedWith {
            body: *self.body,
            cause: self.cause,
            facts: self.facts,
        });
        response
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::WrongDevice => StatusCode::UNAUTHORIZED,
            Refusal::MtlsRequired
            | Refusal::Untrusted
            | Refusal::Expired
            | Refusal::NotYetValid
            | Refusal::Revoked
            | Refusal::Superseded
            | Refusal::Quarantined
            | Refusal::Decommissioned
            | Refusal::TenantSuspended
            | Refusal::Unproved
            | Refusal::NotAdmittedHere => StatusCode::FORBIDDEN,
        };
        let mut failure = Self::new(status, refusal.code(), refusal.sentence());
        failure.body.quarantined = (refusal == Refusal::Quarantined).then_some(true);
        failure
    }
}

impl From<Forbidden> for Failure {
    fn from(forbidden: Forbidden) -> Self {
        let code = match forbidden {
            Forbidden::Scope(_) => "SCOPE_MISSING",
            Forbidden::Session => "SESSION_REQUIRED",
            Forbidden::SecondFactor => "SECOND_FACTOR_SETUP_REQUIRED",
            Forbidden::Role(_) | Forbidden::OtherTenant | Forbidden::AboveOwn => "FORBIDDEN",
        };
        Self::new(StatusCode::FORBIDDEN, code, format!("Not allowed: {forbidden}"))
    }
}

impl From<AgentAuthError> for Failure {
    fn from(error: AgentAuthError) -> Self {
        match error {
            AgentAuthError::Unauthorized => Self::unauthorized(),
            AgentAuthError::TenantSuspended => Refusal::TenantSuspended.into(),
            AgentAuthError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Key(refusal) => Self::new(
                StatusCode::UNAUTHORIZED,
                "ENROLLMENT_KEY_REFUSED",
                "The enrolment key does not work",
            )
            .with_reason(refusal.as_str()),
            EnrolError::TooMany(limit) => Self::too_many(limit),
            EnrolError::Csr(error) => Self::invalid_field("csr", with_causes(&error)),
            EnrolError::KeyDenied => Self::denied_key(),
            EnrolError::Name(problem) => Self::invalid_field("deviceName", problem),
            EnrolError::NameTaken => Self::new(
                StatusCode::CONFLICT,
                "DEVICE_NAME_TAKEN",
                "The device name is taken; names are never used twice",
            ),
            EnrolError::TenantSuspended => Refusal::TenantSuspended.into(),
            EnrolError::Internal(error) => Self::internal(error.as_ref()),
        }
    }
}

impl From<HeartbeatError> for Failure {
    fn from(error: HeartbeatError) -> Self {
        match error {
            HeartbeatError::Quarantined => Self::quarantined(),
            HeartbeatError::TooMany(limit) => Self::too_many(limit),
            HeartbeatError::Store(error) => Self::internal(&error),
        }
    }
}

/// What a client without the right proof is told.
fn proof_needed() -> Failure {
    Failure::new(
        StatusCode::FORBIDDEN,
        "PROOF_REQUIRED",
        "Possession of the device's key was not proved; ask for a challenge and sign it",
    )
}

impl From<RenewError> for Failure {
    fn from(error: RenewError) -> Self {
        match error {
            RenewError::ProofNeeded => proof_needed(),
            RenewError::Quarantined => Self::quarantined(),
            RenewError::Decommissioned => Self::unauthorized(),
            RenewError::Csr(error) => Self::invalid_field("csr", with_causes(&error)),
            RenewError::KeyDenied => Self::denied_key(),
            RenewError::TooMany(limit) => Self::too_many(limit),
            RenewError::IssuerUnavailable => Self::unavailable(),
            RenewError::Internal(error) => Self::internal(error.as_ref()),
        }
    }
}

impl From<RotateTokenError> for Failure {
    fn from(error: RotateTokenError) -> Self {
        match error {
            RotateTokenError::ProofNeeded => proof_needed(),
            RotateTokenError::Quarantined => Self::quarantined(),
            RotateTokenError::Unauthorized => Self::unauthorized(),
            RotateTokenError::NotStaged => Self::new(
                StatusCode::CONFLICT,
                "TOKEN_NOT_STAGED",
                "This is the present token, and another waits to be confirmed; confirm with that one",
            ),
            RotateTokenError::TooMany(limit) => Self::too_many(limit),
            RotateTokenError::Key(error) => Self::internal(&error),
            RotateTokenError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<RevokeTokenError> for Failure {
    fn from(error: RevokeTokenError) -> Self {
        match error {
            RevokeTokenError::Unknown => Self::not_found("device"),
            RevokeTokenError::Forbidden(forbidden) => forbidden.into(),
            RevokeTokenError::AlreadyRevoked => {
                Self::conflict("ALREADY_REVOKED", "The device has no token that could be revoked", "revoked")
            }
            RevokeTokenError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<UnenrolError> for Failure {
    fn from(error: UnenrolError) -> Self {
        match error {
            UnenrolError::ProofNeeded => proof_needed(),
            UnenrolError::Quarantined => Self::quarantined(),
            UnenrolError::Unauthorized => Self::unauthorized(),
            UnenrolError::TooMany(limit) => Self::too_many(limit),
            UnenrolError::Key(error) => Self::internal(&error),
            UnenrolError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<ChallengeError> for Failure {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::Quarantined => Self::quarantined(),
            ChallengeError::TooMany(limit) => Self::too_many(limit),
            ChallengeError::Nonce(error) => Self::internal(&error),
            ChallengeError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<ConfirmError> for Failure {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::Unknown => Self::not_found("certificate"),
            ConfirmError::Conflict(state) => Self::conflict(
                "CERTIFICATE_STATE",
                "The certificate cannot be confirmed any more",
                state.as_str(),
            ),
            ConfirmError::Gone => {
                Self::new(StatusCode::GONE, "CONFIRM_WINDOW_OVER", "The time to confirm is over; renew again")
            }
            ConfirmError::ProofNeeded => proof_needed(),
            ConfirmError::Quarantined => Self::quarantined(),
            ConfirmError::Key(error) => Self::internal(&error),
            ConfirmError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<DecisionError> for Failure {
    fn from(error: DecisionError) -> Self {
        match error {
            DecisionError::Unknown => Self::not_found("device"),
            DecisionError::Forbidden(forbidden) => forbidden.into(),
            DecisionError::UnknownSite => Self::invalid_field("site", "the device's tenant has no such site"),
            DecisionError::Conflict(status) => {
                Self::conflict("DEVICE_STATE", "The device's status does not allow this", status.as_str())
            }
            DecisionError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<OpenChannelError> for Failure {
    fn from(error: OpenChannelError) -> Self {
        match error {
            OpenChannelError::TooMany(limit) => Self::too_many(limit),
            OpenChannelError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<QueueCommandError> for Failure {
    fn from(error: QueueCommandError) -> Self {
        match error {
            QueueCommandError::Unknown => Self::not_found("device"),
            QueueCommandError::Forbidden(forbidden) => forbidden.into(),
            QueueCommandError::Conflict(status) => {
                Self::conflict("DEVICE_STATE", "The device's status does not allow this", status.as_str())
            }
            QueueCommandError::Full => Self::new(
                StatusCode::CONFLICT,
                "COMMAND_LIMIT",
                "Too many commands wait for the device; wait until it has done some of them",
            ),
            QueueCommandError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<RecordResultError> for Failure {
    fn from(error: RecordResultError) -> Self {
        match error {
            RecordResultError::Unknown => Self::not_found("command"),
            RecordResultError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<RevokeError> for Failure {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Unknown => Self::not_found("certificate"),
            RevokeError::Forbidden(forbidden) => forbidden.into(),
            RevokeError::AlreadyRevoked => {
                Self::conflict("ALREADY_REVOKED", "The certificate is revoked already", "revoked")
            }
            RevokeError::Expired => Self::conflict(
                "CERTIFICATE_STATE",
                "The certificate has expired; to keep its device out, quarantine or deny the device",
                "expired",
            ),
            RevokeError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<BulkRevokeError> for Failure {
    fn from(error: BulkRevokeError) -> Self {
        match error {
            BulkRevokeError::Unknown => Self::not_found("selection"),
            BulkRevokeError::Forbidden(forbidden) => forbidden.into(),
            BulkRevokeError::Changed { now } => Self::conflict(
                "SELECTION_CHANGED",
                "The selection takes other certificates than were shown; preview it again",
                format!("{now} certificates"),
            ),
            BulkRevokeError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<LiftError> for Failure {
    fn from(error: LiftError) -> Self {
        match error {
            LiftError::Unknown => Self::not_found("denial"),
            LiftError::Forbidden(forbidden) => forbidden.into(),
            LiftError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<RollBackError> for Failure {
    fn from(error: RollBackError) -> Self {
        match error {
            RollBackError::Forbidden(forbidden) => forbidden.into(),
            RollBackError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<LookError> for Failure {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Unknown => Self::not_found("object"),
            LookError::Forbidden(forbidden) => forbidden.into(),
            LookError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<AnchorError> for Failure {
    fn from(error: AnchorError) -> Self {
        match error {
            AnchorError::Forbidden(forbidden) => forbidden.into(),
            AnchorError::Unknown => Self::not_found("anchor"),
            AnchorError::Sign(error) => Self::internal(&error),
            AnchorError::Store(error) => Self::internal(&error),
            AnchorError::Altered(_) => Self::internal(&error),
        }
    }
}

impl From<RevokeKeyError> for Failure {
    fn from(error: RevokeKeyError) -> Self {
        match error {
            RevokeKeyError::Unknown => Self::not_found("enrolment key"),
            RevokeKeyError::Forbidden(forbidden) => forbidden.into(),
            RevokeKeyError::AlreadyRevoked => {
                Self::conflict("ALREADY_REVOKED", "The enrolment key is revoked already", "revoked")
            }
            RevokeKeyError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<CreateKeyError> for Failure {
    fn from(error: CreateKeyError) -> Self {
        match error {
            CreateKeyError::UnknownTenant => Self::invalid_field("tenant", "there is no such tenant"),
            CreateKeyError::UnknownSite => Self::invalid_field("site", "the tenant has no such site"),
            CreateKeyError::UnknownDevice => {
                Self::invalid_field("deviceId", "the tenant has no such device that could enrol again")
            }
            CreateKeyError::Forbidden(forbidden) => forbidden.into(),
            CreateKeyError::Secret(error) => Self::internal(&error),
            CreateKeyError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Done => {
                Self::new(StatusCode::CONFLICT, "SETUP_DONE", "Setup was done already; sign in")
            }
            SetupError::Token => Self::new(
                StatusCode::UNAUTHORIZED,
                "SETUP_TOKEN_REFUSED",
                "The setup token is wrong or no longer good; restart to get a new one",
            ),
            SetupError::Internal(error) => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_can_be_asked_again_and_one_that_is_wrong_cannot() {
        let away = EnrolError::Internal(Box::new(StoreError::Closed));
        for error in [&away as &(dyn Error + 'static), &StoreError::Closed] {
            let failure = Failure::internal(error);
            assert_eq!((failure.status.as_u16(), failure.body.code.as_str()), (503, "NOT_READY"));
            assert_eq!(failure.retry_after, Some(STORE_AGAIN));
        }
        let failure = Failure::internal(&StoreError::Panicked);
        assert_eq!((failure.status.as_u16(), failure.body.code.as_str()), (500, "INTERNAL"));
        assert_eq!(
            (failure.body.error.as_str(), failure.retry_after),
            ("Something went wrong on our side", None)
        );
    }
}
