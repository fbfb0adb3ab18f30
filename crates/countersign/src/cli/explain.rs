//! `countersign explain`: why a request was refused, from the database.

use std::fmt::Write as _;

use anyhow::Context as _;
use countersign_core::ids::RequestId;
use countersign_store::{RefusalRow, Store, StoreError};
use serde_json::{Map, Value, json};

use super::arguments::ExplainArguments;
use super::explain_advice::{Advice, advice};
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};

/// The facts about whoever asked, in the order in which they are told.
const WHO: [&str; 7] = ["address", "tenant", "user", "role", "device", "identity", "certificate"];

/// Shows why a request was refused.
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
    Failure::bad_answer(format!("nothing is known of request {request}")).hint(
        "what failed is kept for seven days, a second after its answer, 60 a minute from one network; \
         the audit counts the rest: access.counted",
    )
}

fn as_json(refusal: &RefusalRow) -> Value {
    let mut facts = facts(refusal);
    let outcome = facts.remove("outcome");
    let advice = advice(&refusal.code);
    json!({
        "requestId": refusal.id,
        "at": refusal.at,
        "code": refusal.code,
        "outcome": outcome,
        "meaning": advice.as_ref().map(|advice| advice.meaning),
        "toDo": advice.as_ref().map(|advice| advice.to_do),
        "facts": facts,
    })
}

/// The facts in one level: names in the stored value are unique.
fn facts(refusal: &RefusalRow) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in refusal.facts.as_object().into_iter().flatten() {
        match value {
            Value::Object(inner) => flat.extend(inner.clone()),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                flat.insert(name.clone(), value.clone());
            }
        }
    }
    flat
}

fn text(refusal: &RefusalRow) -> String {
    let mut facts = facts(refusal);
    let mut take = |name: &str| facts.remove(name).map(|value| plain(&value));
    let outcome = take("outcome").unwrap_or_else(|| "refused".to_owned());
    let what = [take("method"), take("path")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let host = take("host").map(|host| format!(" at {host}")).unwrap_or_default();
    let what = if what.is_empty() { "a connection".to_owned() } else { format!("{what}{host}") };
    let who = WHO.map(|name| take(name).map(|value| format!("{name} {value}")));
    let who = who.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let Advice { meaning, to_do } =
        advice(&refusal.code).unwrap_or(Advice { meaning: "a code of another version", to_do: "" });
    let mut rows = vec![
        ("request".to_owned(), format!("{} {outcome}", refusal.id)),
        ("when".to_owned(), refusal.at.to_string()),
        ("what".to_owned(), what),
        ("who".to_owned(), who),
        ("why".to_owned(), format!("{}: {meaning}", refusal.code)),
        ("to do".to_owned(), to_do.to_owned()),
    ];
    rows.extend(facts.into_iter().map(|(name, value)| (name, plain(&value))));
    rows.retain(|(_, value)| !value.is_empty());
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{name:width$}  {value}");
        text
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use countersign_core::time::Timestamp;

    use super::*;

    fn refusal(code: &str, facts: Value) -> RefusalRow {
        let id = "0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40".parse().unwrap();
        RefusalRow { id, at: Timestamp::from_secs(0), code: code.to_owned(), facts }
    }

    #[test]
    fn a_refusal_is_told_by_what_when_who_why_and_what_to_do() {
        let facts = json!({
            "address": "192.0.2.1",
            "outcome": "refused",
            "tenant": "acme",
            "facts": { "method": "GET", "path": "/app", "host": "door.test", "standing": "Expired" },
        });
        assert_eq!(
            text(&refusal("CERTIFICATE_EXPIRED", facts)),
            "request   0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 refused\nwhen      1970-01-01T00:00:00Z\n\
             what      GET /app at door.test\nwho       address 192.0.2.1, tenant acme\n\
             why       CERTIFICATE_EXPIRED: the certificate has expired\n\
             to do     let the agent renew, or approve the device if its tenant's policy is quarantine\n\
             standing  Expired\n"
        );
    }

    #[test]
    fn what_is_of_another_version_is_told_nevertheless() {
        let told = text(&refusal("SOMETHING_NEW", json!({ "address": "192.0.2.1", "facts": {} })));
        assert!(told.contains("what     a connection\n"), "{told}");
        assert!(told.contains("why      SOMETHING_NEW: a code of another version\n"), "{told}");
    }
}
