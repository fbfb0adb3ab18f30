//! Prometheus' Alertmanager, its API version 2: POST `/api/v2/alerts`.

use std::time::Duration;

use countersign_authority::alerts::{AlertRow, News};
use serde_json::{Value, json};

use super::post::post;
use crate::config::AlertPlace;

/// Alertmanager takes an alert for resolved that it has not heard of for a while, unless its end is given.
const STANDS: Duration = Duration::from_secs(30 * 86_400);

/// Tells it.
pub(super) async fn send(place: &AlertPlace, news: News, alert: &AlertRow) -> anyhow::Result<()> {
    post(place, "/api/v2/alerts", &body(news, alert)).await
}

/// The labels alone make an alert the same one: they do not change while it is open.
fn body(news: News, alert: &AlertRow) -> Value {
    let ends = match news {
        News::Raised => alert.opened_at + STANDS,
        News::Resolved => alert.resolved_at.unwrap_or(alert.seen_at),
    };
    let mut labels = json!({
        "alertname": format!("countersign_{}", alert.kind),
        "subject": alert.subject,
        "severity": alert.severity.as_str(),
    });
    if let (Some(tenant), Some(labels)) = (&alert.tenant, labels.as_object_mut()) {
        labels.insert("tenant".to_owned(), json!(tenant));
    }
    json!([{
        "labels": labels,
        "annotations": { "summary": alert.summary, "id": alert.id },
        "startsAt": alert.opened_at,
        "endsAt": ends,
    }])
}
