//! What failures about edges become.

use countersign_authority::edges::add::{AddEdgeError, RevokeEdgeError};
use countersign_authority::edges::attach::AttachError;
use countersign_authority::edges::enrol::EquipEdgeError;
use http::StatusCode;

use super::{Failure, with_causes};
use countersign_authority::service_certificates::issue::ServiceIssueError;

impl From<AddEdgeError> for Failure {
    fn from(error: AddEdgeError) -> Self {
        match error {
            AddEdgeError::UnknownTenant(_) => Self::invalid_field("tenants", error.to_string()),
            AddEdgeError::Forbidden(forbidden) => forbidden.into(),
            AddEdgeError::NameTaken(name) => Self::new(
                StatusCode::CONFLICT,
                "EDGE_NAME_TAKEN",
                format!("There is an edge {name} already; revoke it, or choose another name"),
            ),
            AddEdgeError::Secret(_) | AddEdgeError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<RevokeEdgeError> for Failure {
    fn from(error: RevokeEdgeError) -> Self {
        match error {
            RevokeEdgeError::Unknown => Self::not_found("edge"),
            RevokeEdgeError::Forbidden(forbidden) => forbidden.into(),
            RevokeEdgeError::AlreadyRevoked => {
                Self::new(StatusCode::CONFLICT, "ALREADY_REVOKED", "The edge is revoked already")
            }
            RevokeEdgeError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<EquipEdgeError> for Failure {
    fn from(error: EquipEdgeError) -> Self {
        match error {
            EquipEdgeError::Token => Self::new(
                StatusCode::UNAUTHORIZED,
                "EDGE_TOKEN_REFUSED",
                "No edge waits for this token: it was used, or works no more",
            ),
            EquipEdgeError::Csr(error) => Self::invalid_field("csr", with_causes(&error)),
            EquipEdgeError::KeyDenied => Self::denied_key(),
            EquipEdgeError::NoNames => Self::new(
                StatusCode::CONFLICT,
                "EDGE_HAS_NO_NAMES",
                "The edge was added without names for its doors; give them a certificate of your own, or add it \
                 with names",
            ),
            EquipEdgeError::Issue(error) => ServiceIssueError::from(error).into(),
            EquipEdgeError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<AttachError> for Failure {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Revoked | AttachError::Replaced | AttachError::TooFarBehind => {
                Self::new(StatusCode::FORBIDDEN, "EDGE_REVOKED", "This edge's certificate opens nothing")
            }
            AttachError::GoingAway | AttachError::Sign(_) | AttachError::Store(_) => Self::internal(&error),
        }
    }
}
