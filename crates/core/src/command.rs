//! The life of a command to a device, as a state machine, and what a command may be.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::IdError;

/// How long a command is offered to its device before it expires.
pub const COMMAND_LIFE: Duration = Duration::from_secs(86_400);

/// What a device is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// Say that it is there.
    Ping,
    /// Renew its certificate now.
    RenewCertificate,
    /// Ask for its configuration anew.
    RefreshConfig,
    /// Send facts about itself.
    CollectFacts,
    /// Fetch a new bearer token; queued by the rotation of tokens alone.
    RotateToken,
    /// Do its part of a job, which its payload describes; queued with the job alone.
    Job,
}

impl CommandKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Ping,
        Self::RenewCertificate,
        Self::RefreshConfig,
        Self::CollectFacts,
        Self::RotateToken,
        Self::Job,
    ];

    /// The kinds that people may queue as such.
    pub const FOR_PEOPLE: [Self; 4] =
        [Self::Ping, Self::RenewCertificate, Self::RefreshConfig, Self::CollectFacts];

    /// The wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::RenewCertificate => "renew_certificate",
            Self::RefreshConfig => "refresh_config",
            Self::CollectFacts => "collect_facts",
            Self::RotateToken => "rotate_token",
            Self::Job => "job",
        }
    }
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CommandKind {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        const RULE: &str = "ping, renew_certificate, refresh_config, collect_facts, rotate_token or job";
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| IdError::new("command type", RULE, text))
    }
}

/// What people call a job: what is to be done, for devices that know several kinds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobName(Box<str>);

impl JobName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_name = (1..=63).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        if is_name {
            Ok(Self(text.into()))
        } else {
            Err(IdError::new(
                "job name",
                "a-z, 0-9, - and _, at most 63, the first none of the last two",
                text,
            ))
        }
    }
}

impl TryFrom<String> for JobName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// Waiting for its device.
    Queued,
    /// Its device has it, and has not said what came of it.
    Delivered,
    /// Done.
    Completed,
    /// Tried in vain.
    Failed,
    /// Its time passed without a result.
    Expired,
}

/// What can happen to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandEvent {
    /// Its device got it.
    Deliver,
    /// Its device did it.
    Complete,
    /// Its device could not do it.
    Fail,
    /// Its time passed.
    Expire,
}

/// An event that the present state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a command that is {state} cannot go through {event:?}")]
pub struct IllegalCommandEvent {
    /// The state it has and keeps.
    pub state: CommandState,
    /// What was tried.
    pub event: CommandEvent,
}

impl CommandState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Delivered, Self::Completed, Self::Failed, Self::Expired];

    /// The state after `event`. A result without word of the delivery counts: the word was lost.
    ///
    /// # Errors
    /// Fails closed: of several results the first one counts, and none counts after the end.
    pub const fn apply(self, event: CommandEvent) -> Result<Self, IllegalCommandEvent> {
        match (self, event) {
            (Self::Queued, CommandEvent::Deliver) => Ok(Self::Delivered),
            (Self::Queued | Self::Delivered, CommandEvent::Complete) => Ok(Self::Completed),
            (Self::Queued | Self::Delivered, CommandEvent::Fail) => Ok(Self::Failed),
            (Self::Queued | Self::Delivered, CommandEvent::Expire) => Ok(Self::Expired),
            (state, event) => Err(IllegalCommandEvent { state, event }),
        }
    }

    /// Whether it is still offered to its device.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Delivered)
    }

    /// The wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for CommandState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CommandState {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| IdError::new("command state", "one of the five states", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    const EVENTS: [CommandEvent; 4] =
        [CommandEvent::Deliver, CommandEvent::Complete, CommandEvent::Fail, CommandEvent::Expire];

    #[test]
    fn every_kind_and_state_reads_back() {
        for kind in CommandKind::ALL {
            assert_eq!(kind.as_str().parse::<CommandKind>().unwrap(), kind);
            let comes_by_itself = matches!(kind, CommandKind::RotateToken | CommandKind::Job);
            assert_eq!(CommandKind::FOR_PEOPLE.contains(&kind), !comes_by_itself);
        }
        for state in CommandState::ALL {
            assert_eq!(state.as_str().parse::<CommandState>().unwrap(), state);
        }
        assert!("PING".parse::<CommandKind>().is_err() && "done".parse::<CommandState>().is_err());
    }

    #[test]
    fn a_result_may_come_without_word_of_the_delivery() {
        assert_eq!(CommandState::Queued.apply(CommandEvent::Complete), Ok(CommandState::Completed));
        assert_eq!(CommandState::Queued.apply(CommandEvent::Fail), Ok(CommandState::Failed));
    }

    proptest! {
        #[test]
        fn the_first_outcome_stays(events in prop::collection::vec(select(EVENTS.to_vec()), 0..20)) {
            let mut state = CommandState::Queued;
            let mut deliveries = 0;
            for event in events {
                let before = state;
                state = state.apply(event).unwrap_or(state);
                deliveries += u32::from(before != state && state == CommandState::Delivered);
                prop_assert!(before.is_open() || state == before);
            }
            prop_assert!(deliveries <= 1);
        }
    }
}
