//! Questions to Mosquitto's dynamic-security plugin, over its control topic.

use std::time::Duration;

use countersign_core::ids::RequestId;
use countersign_edge::mqtt::wire::Qos;
use countersign_edge::mqtt::{BrokerAccount, BrokerClient, ClientError, EarlierSession};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::timeout;

/// Where the plugin hears commands.
const CONTROL: &str = "$CONTROL/dynamic-security/v1";

/// Where it answers.
const RESPONSE: &str = "$CONTROL/dynamic-security/v1/response";

/// How long it may take to answer. It writes its file anew for every command.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many commands go at once.
const AT_ONCE: usize = 64;

/// The plugin was not told, or not all of it.
#[derive(Debug, Error)]
pub(super) enum DynsecError {
    /// The conversation with the broker failed.
    #[error("talk to the broker")]
    Client(#[from] ClientError),
    /// It does not answer.
    #[error(
        "the dynamic-security plugin does not answer: is it loaded, and may the account write $CONTROL/dynamic-security/#?"
    )]
    Silent,
    /// It refused a command.
    #[error("the dynamic-security plugin refuses {command}: {reason}")]
    Refused {
        /// Which.
        command: String,
        /// In its words.
        reason: String,
    },
    /// The records cannot be read.
    #[error("read the devices")]
    Store(#[from] countersign_store::StoreError),
    /// Nothing is published any more.
    #[error("the authority has ended")]
    Ended,
}

/// A conversation with the plugin.
pub(super) struct Dynsec {
    client: BrokerClient,
    /// Of this conversation: others read the same answers.
    name: RequestId,
    asked: u64,
}

impl Dynsec {
    pub(super) async fn connect(account: &BrokerAccount) -> Result<Self, DynsecError> {
        let name = RequestId::random();
        let id = format!("countersign-{name}");
        let mut client = BrokerClient::connect(account, &id, EarlierSession::Forgotten).await?;
        client.subscribe(RESPONSE, Qos::AtLeastOnce).await?;
        Ok(Self { client, name, asked: 0 })
    }

    /// Has commands done in their order, and gives the answers in theirs.
    pub(super) async fn ask(&mut self, commands: Vec<Value>) -> Result<Vec<Value>, DynsecError> {
        let mut answers = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let part: Vec<Value> = commands.by_ref().take(AT_ONCE).collect();
            answers.extend(self.ask_at_once(part).await?);
        }
        Ok(answers)
    }

    async fn ask_at_once(&mut self, mut commands: Vec<Value>) -> Result<Vec<Value>, DynsecError> {
        self.asked += 1;
        let mark = format!("{}-{}", self.name, self.asked);
        for command in &mut commands {
            command["correlationData"] = json!(mark);
        }
        let wanted = commands.len();
        let text = json!({ "commands": commands }).to_string();
        self.client.publish([(CONTROL, text.as_bytes())]).await?;
        let answered = async {
            let mut answers = Vec::with_capacity(wanted);
            while answers.len() < wanted {
                let message = self.client.next().await?;
                self.client.took(&message).await?;
                answers.extend(answers_in(&message.payload, &mark));
            }
            Ok::<_, ClientError>(answers)
        };
        let answers = timeout(PATIENCE, answered).await.map_err(|_elapsed| DynsecError::Silent)??;
        for answer in &answers {
            if let Some(reason) = text_of(answer, "error") {
                let command = text_of(answer, "command").unwrap_or_default().to_owned();
                return Err(DynsecError::Refused { command, reason: reason.to_owned() });
            }
        }
        Ok(answers)
    }

    /// Stays in touch; ends when the conversation does.
    pub(super) async fn listen(&mut self) -> Result<(), DynsecError> {
        let message = self.client.next().await?;
        Ok(self.client.took(&message).await?)
    }
}

/// The answers in a message that belong to this question.
fn answers_in(payload: &[u8], mark: &str) -> Vec<Value> {
    let Ok(mut said) = serde_json::from_slice::<Value>(payload) else { return Vec::new() };
    let answers =
        said.get_mut("responses").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    answers.into_iter().filter(|answer| text_of(answer, "correlationData") == Some(mark)).collect()
}

fn text_of<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    answer.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_to_the_question_count() {
        let said = br#"{"responses":[{"command":"a","correlationData":"x-1"},{"command":"b"},{"command":"c","correlationData":"y-1"}]}"#;
        let answers = answers_in(said, "x-1");
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0]["command"], "a");
        assert!(answers_in(b"no JSON", "x-1").is_empty());
        assert!(answers_in(b"[]", "x-1").is_empty());
    }
}
