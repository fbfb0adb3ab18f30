//! POST `/agents/enroll`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::agent::{AgentConfig, EnrollRequest, EnrollResponse, IssuedMtls};
use countersign_authority::enrol::{Enrolled, Enrolment};
use http::StatusCode;
use zeroize::Zeroizing;

use crate::device::identify::FromDoor;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::JsonFields;
use crate::state::ControlPlane;

/// Enrols a device.
#[utoipa::path(post, path = "/api/v1/agents/enroll", tag = "agents", operation_id = "enrollAgent",
    request_body = EnrollRequest,
    responses(
        (status = 201, body = EnrollResponse),
        (status = 401, body = ErrorBody, description = "`ENROLLMENT_KEY_REFUSED`, with the reason"),
        (status = 403, body = ErrorBody, description = "`KEY_DENIED`, `TENANT_SUSPENDED`"),
        (status = 409, body = ErrorBody, description = "`DEVICE_NAME_TAKEN`"),
        (status = 429, body = ErrorBody),
    ))]
pub(crate) async fn enroll(
    State(state): State<ControlPlane>,
    FromDoor(arrival): FromDoor,
    JsonFields(fields): JsonFields,
) -> Outcome<(StatusCode, Json<EnrollResponse>)> {
    let request = read(fields, arrival.address.ip())?;
    let enrolled = state.authority.enrol(&request).await?;
    Ok((StatusCode::CREATED, Json(answer(&state, enrolled))))
}

fn read(mut fields: Fields, address: std::net::IpAddr) -> Result<Enrolment, Failure> {
    let os_type = fields.required_text("osType", 16);
    if !os_type.is_empty() && !["windows", "macos", "linux"].contains(&os_type.as_str()) {
        fields.problem("osType", "must be windows, macos or linux");
    }
    let hardware_serial = fields
        .take("hardwareInfo")
        .and_then(|info| info.get("serialNumber")?.as_str().map(ToOwned::to_owned))
        .filter(|serial| serial.len() <= 255);
    let request = Enrolment {
        key: Zeroizing::new(fields.required_text("enrollmentKey", 255)),
        hostname: fields.required_text("hostname", 255),
        os_type,
        os_version: fields.lenient_text("osVersion", 255).unwrap_or_default(),
        architecture: fields.lenient_text("architecture", 255).unwrap_or_default(),
        agent_version: fields.lenient_text("agentVersion", 255).unwrap_or_default(),
        csr: fields.block("csr", 32 << 10),
        name: fields.parsed("deviceName"),
        hardware_serial,
        address,
    };
    fields.finish()?;
    Ok(request)
}

fn answer(state: &ControlPlane, enrolled: Enrolled) -> EnrollResponse {
    let (mtls, mtls_reason) = match enrolled.mtls {
        Ok(issued) => (Some(wire_mtls(issued)), None),
        Err(reason) => (None, Some(reason.as_str().to_owned())),
    };
    let settings = enrolled.agent_settings;
    EnrollResponse {
        agent_id: enrolled.device.agent,
        device_id: enrolled.device.id,
        auth_token: enrolled.token.to_string(),
        org_id: enrolled.tenant,
        site_id: enrolled.site,
        device_name: enrolled.device.name,
        config: AgentConfig {
            heartbeat_interval_seconds: settings.heartbeat_interval.seconds().into(),
            metrics_collection_interval_seconds: settings.metrics_interval.seconds().into(),
            version: settings.version,
            trust_domain: state.authority.trust_domain().clone(),
        },
        mtls,
        mtls_reason,
    }
}

/// A certificate in the seed's spelling.
pub(crate) fn wire_mtls(issued: countersign_authority::enrol::IssuedMtls) -> IssuedMtls {
    IssuedMtls {
        certificate: issued.certificate_pem,
        chain: issued.chain_pem,
        expires_at: issued.lifetime.expires_at,
        serial_number: issued.serial,
        private_key: issued.private_key_pem.map(|pem| pem.to_string()),
    }
}
