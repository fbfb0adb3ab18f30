//! What failures about people and what they call with become.

use countersign_authority::api_tokens::{CreateApiTokenError, RevokeApiTokenError};

use countersign_authority::oidc::OidcError;
use countersign_authority::passwords::{ChangePasswordError, ResetPasswordError, SetPasswordError};
use countersign_authority::second_factor::{RemoveError, SecondFactorError};
use countersign_authority::sign_in::LoginError;
use countersign_authority::sites::{CreateSiteError, SiteError};
use countersign_authority::users::{CreateUserError, UserError};
use http::StatusCode;

use super::Failure;

impl From<CreateApiTokenError> for Failure {
    fn from(error: CreateApiTokenError) -> Self {
        match error {
            CreateApiTokenError::UnknownTenant => Self::invalid_field("tenant", "there is no such tenant"),
            CreateApiTokenError::Forbidden(forbidden) => forbidden.into(),
            CreateApiTokenError::Secret(error) => Self::internal(&error),
            CreateApiTokenError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<RevokeApiTokenError> for Failure {
    fn from(error: RevokeApiTokenError) -> Self {
        match error {
            RevokeApiTokenError::Unknown => Self::not_found("API token"),
            RevokeApiTokenError::Forbidden(forbidden) => forbidden.into(),
            RevokeApiTokenError::AlreadyRevoked => {
                Self::conflict("ALREADY_REVOKED", "The API token is revoked already", "revoked")
            }
            RevokeApiTokenError::Store(error) => Self::internal(&error),
        }
    }
}

/// What is wrong with the tenant of an owner.
const OWNER_IS_UNBOUND: &str = "an owner is bound to no tenant";

const NO_SUCH_TENANT: &str = "there is no such tenant";

impl From<CreateUserError> for Failure {
    fn from(error: CreateUserError) -> Self {
        match error {
            CreateUserError::UnknownTenant => Self::invalid_field("tenant", NO_SUCH_TENANT),
            CreateUserError::BoundOwner => Self::invalid_field("tenant", OWNER_IS_UNBOUND),
            CreateUserError::Taken => {
                Self::new(StatusCode::CONFLICT, "EMAIL_TAKEN", "Somebody has this e-mail address already")
            }
            CreateUserError::Forbidden(forbidden) => forbidden.into(),
            CreateUserError::Secret(error) => Self::internal(&error),
            CreateUserError::Password(error) => Self::internal(&error),
            CreateUserError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Unknown => Self::not_found("user"),
            UserError::UnknownTenant => Self::invalid_field("tenant", NO_SUCH_TENANT),
            UserError::BoundOwner => Self::invalid_field("tenant", OWNER_IS_UNBOUND),
            UserError::LastOwner => Self::new(
                StatusCode::CONFLICT,
                "LAST_OWNER",
                "No owner who can sign in would be left; make another one first",
            ),
            UserError::Forbidden(forbidden) => forbidden.into(),
            UserError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<ResetPasswordError> for Failure {
    fn from(error: ResetPasswordError) -> Self {
        match error {
            ResetPasswordError::Unknown => Self::not_found("user"),
            ResetPasswordError::Disabled => Self::new(
                StatusCode::CONFLICT,
                "USER_DISABLED",
                "The person may not sign in; enable them first",
            ),
            ResetPasswordError::AtProvider => Self::new(
                StatusCode::CONFLICT,
                "SIGNS_IN_AT_PROVIDER",
                "The person signs in at the identity provider and has no password here",
            ),
            ResetPasswordError::Own => Self::new(
                StatusCode::FORBIDDEN,
                "FORBIDDEN",
                "Not allowed: your own password is changed with the current one, at /auth/password",
            ),
            ResetPasswordError::Forbidden(forbidden) => forbidden.into(),
            ResetPasswordError::Secret(error) => Self::internal(&error),
            ResetPasswordError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<SetPasswordError> for Failure {
    fn from(error: SetPasswordError) -> Self {
        match error {
            SetPasswordError::Token => Self::new(
                StatusCode::UNAUTHORIZED,
                "PASSWORD_TOKEN_REFUSED",
                "The one-time token is wrong or no longer good; ask for another one",
            ),
            SetPasswordError::TooMany(limit) => Self::too_many(limit),
            SetPasswordError::Internal(error) => Self::internal(&error),
        }
    }
}

impl From<ChangePasswordError> for Failure {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::Wrong => {
                Self::new(StatusCode::FORBIDDEN, "WRONG_PASSWORD", "The current password is wrong")
            }
            ChangePasswordError::TooMany(limit) => Self::too_many(limit),
            ChangePasswordError::Internal(error) => Self::internal(&error),
        }
    }
}

impl From<LoginError> for Failure {
    fn from(error: LoginError) -> Self {
        let refused = |code, sentence| Self::new(StatusCode::UNAUTHORIZED, code, sentence);
        match error {
            LoginError::Invalid | LoginError::Over => {
                refused("INVALID_CREDENTIALS", "Wrong e-mail address or password")
            }
            LoginError::SecondFactor(_) => {
                refused("SECOND_FACTOR_REQUIRED", "This account needs a one-time code or a recovery code too")
            }
            LoginError::Code => refused("SECOND_FACTOR_WRONG", "The code is wrong, or it was used before"),
            LoginError::TooMany(limit) => Self::too_many(limit),
            LoginError::Internal(error) => Self::internal(&error),
        }
    }
}

impl From<SecondFactorError> for Failure {
    fn from(error: SecondFactorError) -> Self {
        match error {
            SecondFactorError::Password => ChangePasswordError::Wrong.into(),
            SecondFactorError::Code => {
                Self::new(StatusCode::FORBIDDEN, "WRONG_CODE", "The code is wrong, or it was used before")
            }
            SecondFactorError::Passkey(fault) => Self::new(
                StatusCode::FORBIDDEN,
                "PASSKEY_REFUSED",
                format!("The passkey is refused: {fault}"),
            ),
            SecondFactorError::Present => Self::new(
                StatusCode::CONFLICT,
                "SECOND_FACTOR_SET",
                "There is a second factor already; remove it to set up another one",
            ),
            SecondFactorError::Missing => no_second_factor(),
            SecondFactorError::TooMany(limit) => Self::too_many(limit),
            SecondFactorError::Internal(error) => Self::internal(&error),
        }
    }
}

fn no_second_factor() -> Failure {
    Failure::new(
        StatusCode::CONFLICT,
        "SECOND_FACTOR_MISSING",
        "There is no second factor, or setting it up was not finished within 15 minutes",
    )
}

impl From<RemoveError> for Failure {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Unknown => Self::not_found("user"),
            RemoveError::Missing => no_second_factor(),
            RemoveError::Own => Self::new(
                StatusCode::FORBIDDEN,
                "FORBIDDEN",
                "Not allowed: your own second factor is removed with a code of it, at /auth/second-factor/remove",
            ),
            RemoveError::Forbidden(forbidden) => forbidden.into(),
            RemoveError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<OidcError> for Failure {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::Off => Self::not_found("identity provider"),
            OidcError::Provider(fault) => Self::new(
                StatusCode::BAD_GATEWAY,
                "IDENTITY_PROVIDER_FAILED",
                "The identity provider cannot be reached, or answers what cannot be read; the log has more",
            )
            .caused_by(&fault),
            OidcError::NotBegun => Self::new(
                StatusCode::UNAUTHORIZED,
                "SIGN_IN_NOT_BEGUN",
                "This browser has not begun this sign-in, or it took too long; begin again",
            ),
            OidcError::Refused(_) => Self::new(
                StatusCode::UNAUTHORIZED,
                "IDENTITY_REFUSED",
                "What the identity provider says is not good; the audit says why",
            ),
            OidcError::NotLetIn(_) => Self::new(
                StatusCode::FORBIDDEN,
                "NOT_LET_IN",
                "The identity provider knows you, and nobody here has said what you may do; the audit says more",
            ),
            OidcError::TooMany(limit) => Self::too_many(limit),
            OidcError::Internal(error) => Self::internal(&error),
        }
    }
}

impl From<CreateSiteError> for Failure {
    fn from(error: CreateSiteError) -> Self {
        match error {
            CreateSiteError::Tenant(error) => error.into(),
            CreateSiteError::Taken => Self::new(
                StatusCode::CONFLICT,
                "SITE_TAKEN",
                "The tenant has a site of this short name already",
            ),
            CreateSiteError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<SiteError> for Failure {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Unknown => Self::not_found("site"),
            SiteError::Forbidden(forbidden) => forbidden.into(),
            SiteError::InUse(by) => {
                Self::conflict("SITE_IN_USE", "The site is in use; move or revoke what uses it first", by)
            }
            SiteError::Default => {
                Self::conflict("SITE_IN_USE", "Every tenant keeps the site default", "default")
            }
            SiteError::Store(error) => Self::internal(&error),
        }
    }
}
