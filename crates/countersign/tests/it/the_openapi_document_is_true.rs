//! Proves that the OpenAPI document is the reviewed one, is served, and says of every operation what
//! its kind answers. That answers fit it, the table of who may call what proves.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::in_process::{Call, Document, Operation, Plane};
use crate::program::{assert_on_file, repository};

#[test]
fn the_document_is_the_reviewed_one() {
    let text = serde_json::to_string_pretty(Document::generated().value()).unwrap();
    assert_on_file(&repository().join("docs/reference/openapi.json"), &format!("{text}\n"));
}

#[tokio::test]
async fn the_document_is_served() {
    let served = Plane::start_empty().await.admin(Call::get("/api/v1/openapi.json")).await;
    assert_eq!(served.json(), *Document::generated().value());
}

#[test]
fn it_is_openapi_3_1_with_unique_operation_ids() {
    let document = Document::generated();
    assert!(document.value()["openapi"].as_str().unwrap().starts_with("3.1"));
    let operations = document.operations();
    let ids: BTreeSet<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
    assert_eq!(ids.len(), operations.len());
    let tags: BTreeSet<&str> = document.value()["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    for operation in &operations {
        assert!(tags.contains(operation.tag()), "the tag of {} is not described", operation.id);
        let summary = operation.described["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty(), "{} has no summary", operation.id);
    }
}

/// Says what every operation must document, by what it takes.
fn expected(operation: &Operation) -> BTreeSet<u16> {
    let parameters = operation.described["parameters"].as_array().cloned().unwrap_or_default();
    let takes = |kind: &str| parameters.iter().any(|parameter| parameter["in"] == kind);
    let mut statuses = BTreeSet::from([403, 421]);
    if operation.described.get("security").is_some() {
        statuses.extend([401, 500, 503]);
    }
    if operation.takes_body() {
        statuses.extend([400, 413, 500, 503]);
    }
    if takes("query") {
        statuses.insert(400);
    }
    if takes("path") {
        statuses.insert(404);
    }
    statuses
}

#[test]
fn every_operation_documents_what_its_kind_answers() {
    for operation in Document::generated().operations() {
        let documented = operation.statuses();
        let missing: Vec<u16> = expected(&operation).difference(&documented).copied().collect();
        assert!(missing.is_empty(), "{} does not document {missing:?}", operation.id);
        assert!(documented.iter().any(|status| *status < 300), "{} never succeeds", operation.id);
    }
}

#[test]
fn every_failure_has_the_error_body_and_every_answer_a_description() {
    for operation in Document::generated().operations() {
        for (status, response) in operation.described["responses"].as_object().unwrap() {
            let description = response["description"].as_str().unwrap();
            assert!(!description.is_empty(), "{} {status} has no description", operation.id);
            if status.starts_with(['4', '5']) {
                let schema = &response["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/ErrorBody", "{} {status}", operation.id);
            }
            let waits = matches!(status.as_str(), "429" | "503");
            assert_eq!(waits, response["headers"].get("Retry-After").is_some(), "{} {status}", operation.id);
        }
    }
}

#[test]
fn every_part_of_a_path_is_a_parameter_and_the_other_way_round() {
    for operation in Document::generated().operations() {
        let in_path: BTreeSet<String> = operation
            .path
            .split('{')
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap().to_owned())
            .collect();
        let parameters = operation.described["parameters"].as_array().cloned().unwrap_or_default();
        let described: BTreeSet<String> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(in_path, described, "{}", operation.path);
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = Document::generated();
    let mut used = BTreeSet::new();
    collect_references(document.value(), &mut used);
    let schemas = document.value()["components"]["schemas"].as_object().unwrap();
    let known: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(used, known);
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str) {
                found.insert(name.to_owned());
            }
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn bodies_of_people_are_closed_and_bodies_of_agents_are_open() {
    let document = Document::generated();
    for operation in document.operations().iter().filter(|operation| operation.takes_body()) {
        let schema = &operation.described["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let name = schema.as_str().unwrap_or_else(|| panic!("{} takes just anything", operation.id));
        let schema = document.value().pointer(name.trim_start_matches('#')).unwrap();
        let is_closed = schema["additionalProperties"] == false;
        assert_eq!(is_closed, operation.tag() != "agents", "{} {name}", operation.id);
    }
}
