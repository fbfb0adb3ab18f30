//! GET and POST `/service-certificates`, GET `/service-certificates/:id`, POST
//! `/service-certificates/:id/renew` and `…/revoke`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_api::ErrorBody;
use countersign_api::wire::admin::RevokeRequest;
use countersign_api::wire::schema;
use countersign_api::wire::service_certificates::{
    IssueServiceCertificateRequest, RenewServiceCertificateRequest, ServiceCertificateBody,
    ServiceCertificateDetail, ServiceCertificateList, ServiceCertificateRevoked,
};
use countersign_authority::plan::ServiceNames;
use countersign_authority::service_certificates::issue::WantedService;
use countersign_authority::service_certificates::look::{
    FoundService, ServiceDetail, ServiceQuery, ServiceState,
};
use countersign_authority::service_certificates::wanted::ServiceProfile;
use countersign_authority::{Administer, View};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::certificate::RevocationReason;
use countersign_core::time::Timestamp;
use http::StatusCode;

use crate::admin::lists::{cursor, page_size};
use crate::admin::quarantine::wire_applied;
use crate::failure::Outcome;
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, QueryFields, Segment, named};
use crate::scopes::{ServiceCertificatesRead, ServiceCertificatesWrite};
use crate::state::ControlPlane;

const DAY: u64 = 86_400;

/// How long a signing request may be, in octets of PEM.
const CSR_LIMIT: usize = 16 * 1024;

/// How many names of a kind a certificate may have.
const NAMES_LIMIT: usize = 100;

/// One page of the certificates of services, newest first. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/service-certificates", tag = "service certificates",
    operation_id = "listServiceCertificates",
    params(
        ("ca" = Option<schema::CaName>, Query, description = "of this CA"),
        ("label" = Option<schema::ServiceLabel>, Query, description = "with this label"),
        ("serial" = Option<schema::SerialNumber>, Query, description = "with this number, whoever signed it"),
        ("state" = Option<schema::ServiceState>, Query),
        ("key" = Option<schema::ServiceKey>, Query, description = "whose key is there"),
        ("expiresBefore" = Option<schema::Moment>, Query, description = "that end before this"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = ServiceCertificateList),
        (status = 404, body = ErrorBody, description = "There is no such CA"),
    ), security(("session" = []), ("apiToken" = ["service-certificates:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, ServiceCertificatesRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<ServiceCertificateList>> {
    let query = ServiceQuery {
        ca: fields.parsed("ca"),
        label: fields.parsed("label"),
        serial: fields.parsed("serial"),
        state: fields.parsed("state"),
        key: fields.parsed("key"),
        expires_before: fields.read("expiresBefore", Timestamp::parse),
        after: cursor(&mut fields),
        limit: page_size(&mut fields),
    };
    fields.refuse_unknown();
    fields.finish()?;
    let page = state.authority.list_services(&by, query).await?;
    Ok(Json(ServiceCertificateList {
        certificates: page.certificates.into_iter().map(wire_service).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// One of them with its PEM. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/service-certificates/{id}", tag = "service certificates",
    operation_id = "getServiceCertificate",
    params(("id" = uuid::Uuid, Path, description = "certificate id")),
    responses((status = 200, body = ServiceCertificateDetail)),
    security(("session" = []), ("apiToken" = ["service-certificates:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, ServiceCertificatesRead>,
    Segment(id): Segment,
) -> Outcome<Json<ServiceCertificateDetail>> {
    let detail = state.authority.service(&by, named(&id, "certificate")?).await?;
    Ok(Json(wire_detail(detail)))
}

/// Issues a certificate for a service, for the key of a signing request. Not for whoever is bound to a
/// tenant.
#[utoipa::path(post, path = "/api/v1/service-certificates", tag = "service certificates",
    operation_id = "issueServiceCertificate", request_body = IssueServiceCertificateRequest,
    responses(
        (status = 201, body = ServiceCertificateDetail),
        (status = 400, body = ErrorBody,
            description = "`INVALID_REQUEST` with every bad field; `CERTIFICATE_REFUSED`: the profile or a lint does not allow it, and the sentence says what"),
        (status = 403, body = ErrorBody, description = "Not allowed; `KEY_DENIED`: that of a revoked certificate"),
        (status = 409, body = ErrorBody,
            description = "`CA_UNAVAILABLE`: the CA cannot sign, or signs nothing new"),
    ), security(("session" = []), ("apiToken" = ["service-certificates:write"])))]
pub(crate) async fn issue(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, ServiceCertificatesWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Response> {
    let ca = fields.parsed("ca");
    let profile: Option<ServiceProfile> = fields.required_parsed("profile");
    let names = ServiceNames {
        subject: fields.parsed("subject"),
        alternatives: AlternativeNames {
            uris: fields.list("uri", NAMES_LIMIT),
            dns: fields.list("dns", NAMES_LIMIT),
            ips: fields.list("ip", NAMES_LIMIT),
        },
    };
    if names.alternatives.is_empty() && !["dns", "ip", "uri"].iter().any(|kind| fields.has_problem(kind)) {
        fields.problem("dns", "is missing: at least one of dns, ip and uri is needed");
    }
    let label = fields.parsed("label");
    let lifetime = lifetime(&mut fields);
    let csr = fields.required_block("csr", CSR_LIMIT);
    fields.refuse_unknown();
    fields.finish()?;
    // Without one the reading did not end well.
    let profile = profile.unwrap_or(ServiceProfile::Client);
    let wanted = WantedService { ca, profile, names, label, lifetime };
    let issued = state.authority.issue_service(&by, wanted, &csr).await?;
    let detail = state.authority.issued_service(issued);
    Ok((StatusCode::CREATED, Json(wire_detail(detail))).into_response())
}

/// Issues the successor of a certificate, with the same profile, names and label. Not for whoever is bound
/// to a tenant.
#[utoipa::path(post, path = "/api/v1/service-certificates/{id}/renew", tag = "service certificates",
    operation_id = "renewServiceCertificate",
    params(("id" = uuid::Uuid, Path, description = "certificate id")),
    request_body = RenewServiceCertificateRequest,
    responses(
        (status = 201, body = ServiceCertificateDetail),
        (status = 400, body = ErrorBody,
            description = "`INVALID_REQUEST` with every bad field; `CERTIFICATE_REFUSED`: a lint does not allow it any more"),
        (status = 403, body = ErrorBody, description = "Not allowed; `KEY_DENIED`: that of a revoked certificate"),
        (status = 409, body = ErrorBody,
            description = "`CERTIFICATE_STATE`: it is revoked; `ISSUED_ELSEWHERE`: it was imported; `PLATFORM_CERTIFICATE`: a door's or a responder's; `CA_UNAVAILABLE`"),
    ), security(("session" = []), ("apiToken" = ["service-certificates:write"])))]
pub(crate) async fn renew(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, ServiceCertificatesWrite>,
    Segment(id): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Response> {
    let lifetime = lifetime(&mut fields);
    let csr = fields.required_block("csr", CSR_LIMIT);
    fields.refuse_unknown();
    fields.finish()?;
    let id = named(&id, "certificate")?;
    let issued = state.authority.renew_service(&by, id, &csr, lifetime).await?;
    let detail = state.authority.issued_service(issued);
    Ok((StatusCode::CREATED, Json(wire_detail(detail))).into_response())
}

/// Revokes a service's certificate that was issued here. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/service-certificates/{id}/revoke", tag = "service certificates",
    operation_id = "revokeServiceCertificate",
    params(("id" = uuid::Uuid, Path, description = "certificate id")), request_body = RevokeRequest,
    responses(
        (status = 200, body = ServiceCertificateRevoked),
        (status = 409, body = ErrorBody,
            description = "`ALREADY_REVOKED`; `CERTIFICATE_STATE`: it has expired; `ISSUED_ELSEWHERE`: it was imported, so its own CA revokes it"),
    ), security(("session" = []), ("apiToken" = ["service-certificates:write"])))]
pub(crate) async fn revoke(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, ServiceCertificatesWrite>,
    Segment(id): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<ServiceCertificateRevoked>> {
    let reason = fields.parsed("reason").unwrap_or(RevocationReason::Unspecified);
    fields.refuse_unknown();
    fields.finish()?;
    let id = named(&id, "certificate")?;
    let revoked = state.authority.revoke_service(&by, id, reason).await?;
    Ok(Json(ServiceCertificateRevoked {
        id,
        state: ServiceState::Revoked.as_str().to_owned(),
        revoked_at: revoked.at,
        applied_edges: wire_applied(revoked.applied),
    }))
}

fn lifetime(fields: &mut Fields) -> Option<Duration> {
    let days = fields.number("lifetimeDays", 1..=36_500)?;
    Some(Duration::from_secs(u64::try_from(days).unwrap_or_default() * DAY))
}

fn wire_service(found: FoundService) -> ServiceCertificateBody {
    let FoundService { recorded, ca } = found;
    let row = recorded.row;
    let profile = ServiceProfile::of(&row).map_or_else(|| row.profile.clone(), |known| known.to_string());
    ServiceCertificateBody {
        id: row.id,
        ca,
        issuer: row.reference.issuer,
        serial_number: row.reference.serial,
        profile,
        origin: row.origin.as_str().to_owned(),
        label: row.label,
        subject: row.subject,
        dns: row.names.dns,
        ip: row.names.ips,
        uri: row.names.uris,
        state: row.state.as_str().to_owned(),
        key: recorded.key.as_str().to_owned(),
        issued_at: row.lifetime.issued_at,
        expires_at: row.lifetime.expires_at,
        revoked_at: row.revoked_at,
        reason: row.reason.map(|reason| reason.as_str().to_owned()),
        spki_sha256: row.spki,
    }
}

/// A certificate on the wire, whole.
pub(crate) fn wire_detail(detail: ServiceDetail) -> ServiceCertificateDetail {
    let ServiceDetail { found, pem, chain } = detail;
    ServiceCertificateDetail { record: wire_service(found), pem, chain }
}
