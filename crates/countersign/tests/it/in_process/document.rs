//! The OpenAPI document as tests ask it.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::Value;

use super::schema;

/// The document that the program describes itself with.
pub(crate) struct Document(Value);

/// One operation of it.
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) described: Value,
}

impl Document {
    pub(crate) fn generated() -> Self {
        Self(serde_json::to_value(countersign_server::openapi()).unwrap())
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.0["paths"].as_object().unwrap();
        let each = paths.iter().flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, described)| Operation {
                id: described["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                described: described.clone(),
            })
        });
        each.collect()
    }

    #[track_caller]
    pub(crate) fn operation(&self, id: &str) -> Operation {
        let found = self.operations().into_iter().find(|operation| operation.id == id);
        found.unwrap_or_else(|| panic!("no operation {id}"))
    }

    /// What is wrong with a body, measured by what the document says of this answer.
    pub(crate) fn faults(&self, operation: &Operation, status: StatusCode, body: &Value) -> Vec<String> {
        let content = &operation.described["responses"][status.as_str()]["content"]["application/json"];
        schema::faults(&self.0, &content["schema"], body)
    }
}

impl Operation {
    pub(crate) fn statuses(&self) -> BTreeSet<u16> {
        let responses = self.described["responses"].as_object().unwrap();
        responses.keys().map(|status| status.parse().unwrap()).collect()
    }

    /// The scopes that an API token needs; `None`: no API token may.
    pub(crate) fn scopes(&self) -> Option<Vec<String>> {
        let choices = self.described["security"].as_array()?;
        let scopes = choices.iter().find_map(|choice| choice.get("apiToken"))?.as_array()?;
        Some(scopes.iter().map(|scope| scope.as_str().unwrap().to_owned()).collect())
    }

    pub(crate) fn tag(&self) -> &str {
        self.described["tags"][0].as_str().unwrap()
    }

    /// Whether it is reached through the door, not at the admin listener.
    pub(crate) fn is_behind_door(&self) -> bool {
        self.tag() == "agents" || self.path.starts_with("/api/v1/edges/self/")
    }

    /// Whether an edge's certificate opens it, and nothing else.
    pub(crate) fn is_for_edges(&self) -> bool {
        self.described["security"][0].get("edgeCertificate").is_some()
    }

    pub(crate) fn takes_body(&self) -> bool {
        self.described["requestBody"]["content"].get("application/json").is_some()
    }

    /// Whether an answer to this is JSON when all is well.
    pub(crate) fn answers_json(&self, status: StatusCode) -> bool {
        self.described["responses"][status.as_str()]["content"].get("application/json").is_some()
    }
}
