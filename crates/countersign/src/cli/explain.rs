//! `countersign explain`: the facts behind a refused request, from the database.

use std::fmt::Write as _;

use anyhow::Context as _;
use countersign_core::access::Refusal;
use countersign_core::ids::RequestId;
use countersign_store::{RefusalRow, Store, StoreError};
use serde_json::{Map, Value, json};

use super::arguments::ExplainArguments;
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};

/// Shows the facts behind a refused request.
pub(super) fn run(arguments: ExplainArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let request = arguments.request;
    block_on(async {
        let store = Store::open_for_reading(&config.database).await.context("open the database")?;
        let found = store.read(|r| Box::pin(async move { r.refusal(request).await })).await;
        let found =
            found.map_err(|error: StoreError| anyhow::Error::new(error).context("look up the request"))?;
        let refusal = found.ok_or_else(|| unknown(request))?;
        if arguments.json {
            print_json(&as_json(&refusal))?
        } else {
            print(&text(&refusal))?
        }
        Ok(())
    })
}

fn unknown(request: RequestId) -> Failure {
    Failure::bad_answer(format!("nothing is known of request {request}"))
        .hint("only refused requests are kept, for seven days, a moment after they were answered")
}

fn as_json(refusal: &RefusalRow) -> Value {
    json!({ "requestId": refusal.id, "at": refusal.at, "code": refusal.code, "facts": facts(refusal) })
}

/// The facts in one level: names in the stored value are unique.
fn facts(refusal: &RefusalRow) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in refusal.facts.as_object().into_iter().flatten() {
        match value {
            Value::Object(inner) => flat.extend(inner.clone()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                flat.insert(name.clone(), value.clone());
            }
        }
    }
    flat
}

fn text(refusal: &RefusalRow) -> String {
    let known = Refusal::ALL.into_iter().find(|known| known.code() == refusal.code);
    let meaning = known.map(|known| format!(" ({known})")).unwrap_or_default();
    let mut rows = vec![
        ("request".to_owned(), refusal.id.to_string()),
        ("at".to_owned(), refusal.at.to_string()),
        ("code".to_owned(), format!("{}{meaning}", refusal.code)),
    ];
    for (name, value) in facts(refusal) {
        rows.push((name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{name:width$}  {value}");
        text
    })
}

#[cfg(test)]
mod tests {
    use countersign_core::time::Timestamp;

    use super::*;

    #[test]
    fn a_refusal_is_told_as_a_table_with_the_code_in_words() {
        let refusal = RefusalRow {
            id: "0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40".parse().unwrap(),
            at: Timestamp::from_secs(0),
            code: "MTLS_REQUIRED".to_owned(),
            facts: json!({ "address": "192.0.2.1", "facts": { "path": "/app", "presented": false } }),
        };
        assert_eq!(
            text(&refusal),
            "request    0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40\nat         1970-01-01T00:00:00Z\n\
             code       MTLS_REQUIRED (Mutual TLS authentication required)\naddress    192.0.2.1\n\
             path       /app\npresented  false\n"
        );
    }
}
