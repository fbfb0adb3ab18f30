//! What failures of a rotation become.

use countersign_authority::NoIssuer;
use countersign_authority::rotation::refused::{Refused, RotationError};
use http::StatusCode;

use super::Failure;

impl From<RotationError> for Failure {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Forbidden(forbidden) => forbidden.into(),
            RotationError::Ca(NoIssuer::Unknown(_)) => Self::not_found("CA"),
            RotationError::Ca(missing @ (NoIssuer::KeyAway(_) | NoIssuer::NoneActive(_))) => {
                Self::new(StatusCode::CONFLICT, "CA_UNAVAILABLE", sentence(&missing.to_string()))
            }
            RotationError::NotRotating(_) => Self::not_found("rotation"),
            RotationError::Refused(refused) => refused.into(),
            RotationError::Make(error) => Self::internal(error.as_ref()),
            RotationError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let said = sentence(&refused.to_string());
        match refused {
            Refused::NotPossible(..) | Refused::NoCanary(_) | Refused::NobodyToGoFirst | Refused::Raced => {
                Self::new(StatusCode::CONFLICT, "ROTATION_STATE", said)
            }
            Refused::GoesOn(_, step) => Self::conflict("ROTATION_STATE", &said, step.as_str()),
            Refused::Step(illegal) => Self::conflict("ROTATION_STATE", &said, illegal.step.as_str()),
            Refused::NotAdopted(_) => Self::new(StatusCode::CONFLICT, "ADOPTION_INCOMPLETE", said),
            Refused::InUse(_) => Self::new(StatusCode::CONFLICT, "CA_IN_USE", said),
        }
    }
}

/// With a capital letter in front.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
