//! The OpenAPI 3.1 description, generated from the routes.
//!
//! A handler declares what it answers when all is well and the failures that are its own. What the
//! layers and readers answer for every route of a kind is added here, by rule.

use countersign_api::ErrorBody;
use utoipa::OpenApi;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr};
use utoipa_axum::router::OpenApiRouter;

use crate::state::ControlPlane;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Countersign control plane",
        description = "Agent routes are served behind doors, admin routes on the admin listener, the \
                       public PKI and health on both. Every failure has the same body; its codes are in \
                       docs/reference/error-codes.md. Every answer has `X-Request-Id`. Unknown fields are \
                       ignored in agents' bodies and refused in people's.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "agents", description = "What devices call, through a door."),
        (name = "auth", description = "The first owner, signing in and out."),
        (name = "api tokens", description = "What programs call these routes with."),
        (name = "users", description = "People and what they may."),
        (name = "tenants"),
        (name = "sites"),
        (name = "enrollment keys"),
        (name = "devices"),
        (name = "quarantine", description = "The queue and the decisions."),
        (name = "commands", description = "What devices are asked to do, and what came of it."),
        (name = "certificates"),
        (name = "service certificates", description = "Certificates of services: issued here, or imported."),
        (name = "cas", description = "The rotation of CAs."),
        (name = "edges", description = "Edges that run elsewhere, and what they call themselves."),
        (name = "messages", description = "What devices sent over MQTT, and what was set aside of it."),
        (name = "monitors", description = "Certificates elsewhere that are watched."),
        (name = "rules", description = "What every door asks before a request goes on."),
        (name = "alerts", description = "What somebody must see to, and when nobody is told."),
        (name = "metrics", description = "Numbers for Prometheus."),
        (name = "trusts", description = "CAs of others that doors trust, where a route asks for it."),
        (name = "settings"),
        (name = "audit"),
        (name = "pki", description = "CA certificates and revocation lists, for anyone."),
        (name = "health"),
        (name = "pages", description = "For browsers, on the admin listener."),
    ),
    components(schemas(ErrorBody)),
)]
struct Description;

/// Describes these routes.
pub(crate) fn describe(routes: OpenApiRouter<ControlPlane>) -> Document {
    let described = OpenApiRouter::with_openapi(Description::openapi()).merge(routes);
    let mut document = described.split_for_parts().1;
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        complete(operation);
    }
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("session", bearer("the token of a person's session"));
    components.add_security_scheme(
        "apiToken",
        bearer("an API token; it needs the scope that is listed, or to have been made without scopes"),
    );
    components.add_security_scheme("agent", bearer("an agent's token"));
    components.add_security_scheme(
        "edgeCertificate",
        SecurityScheme::MutualTls {
            description: Some(
                "The certificate that an edge enrolled for, shown to the authority's door.".to_owned(),
            ),
            extensions: None,
        },
    );
    components.add_security_scheme(
        "deviceCertificate",
        SecurityScheme::MutualTls {
            description: Some(
                "The device's certificate, shown to the door. Whether the token alone is enough, the \
                 tenant's `enforcement` says."
                    .to_owned(),
            ),
            extensions: None,
        },
    );
    document
}

fn bearer(text: &str) -> SecurityScheme {
    SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build())
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn complete(operation: &mut Operation) {
    let common = common_failures(operation);
    let responses = &mut operation.responses.responses;
    for (status, why) in common {
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(failure(why)));
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            finish_response(status, response);
        }
    }
}

/// What the layers and readers answer for every route of this kind.
fn common_failures(operation: &Operation) -> Vec<(&'static str, &'static str)> {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let takes = |kind: &ParameterIn| parameters.iter().any(|parameter| parameter.parameter_in == *kind);
    let tags = operation.tags.as_deref().unwrap_or_default();
    let mut failures = vec![("421", "The listener does not answer to this host")];
    if operation.security.is_some() {
        failures.push(("401", "`UNAUTHORIZED`: the token is missing or not good; it is never said which"));
        failures.push(("403", "Not allowed"));
    } else {
        failures.push(("403", "The request comes from a page of another origin, or a rule forbids it"));
    }
    if operation.request_body.is_some() {
        failures.push(("400", "`INVALID_REQUEST` with every bad field, `INVALID_JSON`, `BODY_INCOMPLETE`"));
        failures.push(("413", "`BODY_TOO_LARGE`: over 1 MiB"));
    }
    if takes(&ParameterIn::Query) {
        failures.push(("400", "`INVALID_REQUEST` with every bad field"));
    }
    if takes(&ParameterIn::Path) {
        failures.push(("404", "`NOT_FOUND`: there is nothing that the path names"));
    }
    if !tags.iter().any(|tag| tag == "pages" || tag == "health") {
        failures.push(("500", "`INTERNAL`"));
        failures.push(("503", "`NOT_READY`: the database does not answer"));
    }
    failures
}

fn failure(why: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
    ResponseBuilder::new().description(why).content("application/json", content).build()
}

fn finish_response(status: &str, response: &mut Response) {
    if response.description.is_empty() {
        let description = match status {
            "201" => "Made",
            "429" => "`RATE_LIMITED`",
            _ => "Done",
        };
        description.clone_into(&mut response.description);
    }
    if matches!(status, "429" | "503") {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
        let header = HeaderBuilder::new().schema(seconds).description(Some("Seconds to wait")).build();
        response.headers.insert("Retry-After".to_owned(), header);
    }
}
