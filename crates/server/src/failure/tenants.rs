//! What failures about tenants and their settings become.

use countersign_authority::settings::ChangeSettingsError;
use countersign_authority::tenants::{CreateTenantError, TenantError, TenantServiceError};
use http::StatusCode;

use super::Failure;

impl From<TenantError> for Failure {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Unknown => Self::not_found("tenant"),
            TenantError::Forbidden(forbidden) => forbidden.into(),
            TenantError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<CreateTenantError> for Failure {
    fn from(error: CreateTenantError) -> Self {
        match error {
            CreateTenantError::Forbidden(forbidden) => forbidden.into(),
            CreateTenantError::Taken => {
                Self::new(StatusCode::CONFLICT, "TENANT_TAKEN", "There is a tenant with this slug already")
            }
            CreateTenantError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<ChangeSettingsError> for Failure {
    fn from(error: ChangeSettingsError) -> Self {
        match error {
            ChangeSettingsError::Tenant(error) => error.into(),
            ChangeSettingsError::Changed => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "SETTINGS_CHANGED",
                "The settings changed meanwhile; read them again",
            ),
            ChangeSettingsError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<TenantServiceError> for Failure {
    fn from(error: TenantServiceError) -> Self {
        match error {
            TenantServiceError::Tenant(error) => error.into(),
            TenantServiceError::Unchanged => {
                Self::new(StatusCode::CONFLICT, "TENANT_STATE", "The tenant is so already")
            }
            TenantServiceError::Store(error) => Self::internal(&error),
        }
    }
}
