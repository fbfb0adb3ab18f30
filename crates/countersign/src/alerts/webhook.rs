//! A webhook as Slack, Mattermost and Rocket.Chat take it: `text` for people, and the alert itself for programs.

use countersign_authority::alerts::{AlertRow, News};
use serde_json::{Value, json};

use super::post::post;
use super::tell::headline;
use crate::config::AlertPlace;

/// Tells it.
pub(super) async fn send(place: &AlertPlace, news: News, alert: &AlertRow) -> anyhow::Result<()> {
    post(place, "", &body(news, alert)).await
}

fn body(news: News, alert: &AlertRow) -> Value {
    json!({
        "text": escaped(&headline(news, alert)),
        "news": news.as_str(),
        "alert": {
            "id": alert.id,
            "kind": alert.kind,
            "subject": alert.subject,
            "tenant": alert.tenant,
            "severity": alert.severity.as_str(),
            "summary": alert.summary,
            "openedAt": alert.opened_at,
            "resolvedAt": alert.resolved_at,
        },
    })
}

/// The three characters that Slack reads as its own, so that no name can mention a channel or make a link.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_alert_is_slacks_own_language() {
        assert_eq!(escaped("<!channel> & <https://a|b>"), "&lt;!channel&gt; &amp; &lt;https://a|b&gt;");
    }
}
