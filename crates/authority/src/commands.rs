//! Commands to devices: queued by people, offered until the device says what came of them, at least
//! once, and ended by the sweep when it does not.

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::command::{COMMAND_LIFE, CommandKind, CommandState};
use countersign_core::ids::{CommandId, DeviceId, Tenant};
use countersign_core::time::Timestamp;
pub use countersign_store::{CommandCursor, CommandPage, CommandRow};
use countersign_store::{CommandOutcome, DeviceRow, StoreError, Writing};
use serde_json::Value;
use thiserror::Error;

use crate::agent::AgentCaller;
use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Operate, View};
use crate::channels::LOOK_BACK;
pub use crate::commands_by_identity::{CommandWord, Ear};
use crate::devices::LookError;

/// How many commands a device is offered at once.
pub const OFFERED_AT_ONCE: u32 = 16;

/// How many commands without an outcome a device may have.
pub(crate) const OPEN_LIMIT: u64 = 256;

/// How deep payloads and results may be nested: readers of JSON give up at 128, and these come in
/// answers that are nested themselves.
const DEPTH_LIMIT: usize = 64;
const TOO_DEEP: &str = "must not be nested deeper than 64";

/// Whether values are in values in values, more than so many.
fn is_deeper_than(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper_than(item, below)),
        Value::Object(members) => members.values().any(|member| is_deeper_than(member, below)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The particulars of a command: a JSON object of a bounded size.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandPayload(Value);

impl CommandPayload {
    /// How large it may be, as JSON, in bytes.
    pub const LIMIT: usize = 16 << 10;

    /// # Errors
    /// Refuses what is not an object, is larger than [`Self::LIMIT`], or nested so deep that an agent
    /// could not read the answer it comes in; says which.
    pub fn new(value: Value) -> Result<Self, &'static str> {
        if !value.is_object() {
            return Err("must be an object");
        }
        if is_deeper_than(&value, DEPTH_LIMIT) {
            return Err(TOO_DEEP);
        }
        if value.to_string().len() > Self::LIMIT {
            return Err("must be at most 16 KiB of JSON");
        }
        Ok(Self(value))
    }

    pub(crate) fn into_value(self) -> Value {
        self.0
    }
}

/// What a device says came of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandReport {
    verdict: ReportedVerdict,
    result: Option<Value>,
    error: Option<String>,
}

/// Whether a device did what it was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedVerdict {
    /// It did.
    Completed,
    /// It could not.
    Failed,
}

impl CommandReport {
    /// How large a result may be, as JSON, in bytes.
    pub const RESULT_LIMIT: usize = 64 << 10;
    /// How many characters an error may have.
    pub const ERROR_LIMIT: usize = 4096;

    /// A report; a longer error is cut.
    ///
    /// # Errors
    /// Refuses a result larger than [`Self::RESULT_LIMIT`], or nested too deep.
    pub fn new(
        verdict: ReportedVerdict,
        result: Option<Value>,
        error: Option<&str>,
    ) -> Result<Self, &'static str> {
        if result.as_ref().is_some_and(|result| result.to_string().len() > Self::RESULT_LIMIT) {
            return Err("must be at most 64 KiB of JSON");
        }
        if result.as_ref().is_some_and(|result| is_deeper_than(result, DEPTH_LIMIT)) {
            return Err(TOO_DEEP);
        }
        let error = error.map(|text| text.chars().take(Self::ERROR_LIMIT).collect());
        Ok(Self { verdict, result, error })
    }

    fn outcome(self, at: Timestamp) -> CommandOutcome {
        let state = match self.verdict {
            ReportedVerdict::Completed => CommandState::Completed,
            ReportedVerdict::Failed => CommandState::Failed,
        };
        CommandOutcome { state, at, result: self.result, error: self.error }
    }
}

/// A command was not queued.
#[derive(Debug, Error)]
pub enum QueueCommandError {
    /// There is no such device.
    #[error("unknown device")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The device is served nowhere.
    #[error("the device is {0}")]
    Conflict(countersign_core::device::DeviceStatus),
    /// It has as many commands without an outcome as it may have.
    #[error("too many commands wait for the device")]
    Full,
    /// The store failed.
    #[error("cannot queue the command")]
    Store(#[from] StoreError),
}

/// What a device said of a command was not recorded.
#[derive(Debug, Error)]
pub enum RecordResultError {
    /// The device has no such command.
    #[error("unknown command")]
    Unknown,
    /// The store failed.
    #[error("cannot record the result")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Queues a command for a device, and tells the device if it is connected here.
    ///
    /// # Errors
    /// See [`QueueCommandError`]. Fails closed: nothing is queued for a device that is served nowhere.
    pub async fn queue_command(
        &self,
        by: &Authorized<Operate>,
        device: DeviceId,
        kind: CommandKind,
        payload: Option<CommandPayload>,
    ) -> Result<CommandId, QueueCommandError> {
        let (now, by) = (self.now(), *by);
        let id = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let device = w.device(device).await?.ok_or(QueueCommandError::Unknown)?;
                    by.covers(device.tenant)?;
                    if device.status.is_barred() {
                        return Err(QueueCommandError::Conflict(device.status));
                    }
                    if w.count_open_commands(device.id).await? >= OPEN_LIMIT {
                        return Err(QueueCommandError::Full);
                    }
                    Ok(queue(w, &device, kind, payload, (now, by.actor())).await?)
                })
            })
            .await?;
        self.channels.wake(device);
        self.ears.ring(device);
        Ok(id)
    }

    /// The commands of a device, newest first.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn device_commands(
        &self,
        by: &Authorized<View>,
        device: DeviceId,
        after: Option<CommandCursor>,
        limit: u32,
    ) -> Result<CommandPage, LookError> {
        self.device(by, device).await?;
        Ok(self
            .store
            .read(move |r| Box::pin(async move { r.list_commands(device, after, limit).await }))
            .await?)
    }

    /// One command of a device.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn device_command(
        &self,
        by: &Authorized<View>,
        device: DeviceId,
        id: CommandId,
    ) -> Result<CommandRow, LookError> {
        self.device(by, device).await?;
        let found = self.store.read(move |r| Box::pin(async move { r.command(id).await })).await?;
        found.filter(|row| row.device == device).ok_or(LookError::Unknown)
    }

    /// What a device is to be offered now; it costs nothing when its row says that there is nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_commands(&self, device: DeviceId) -> Result<Vec<CommandRow>, StoreError> {
        let now = self.now();
        self.store
            .read(move |r| Box::pin(async move { r.open_commands(device, now, OFFERED_AT_ONCE).await }))
            .await
    }

    /// The commands that go with the answer to a heartbeat; they count as delivered.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn commands_with_heartbeat(&self, agent: &AgentCaller) -> Result<Vec<CommandRow>, StoreError> {
        if agent.device().commands_until.is_none_or(|until| until <= self.now()) {
            return Ok(Vec::new());
        }
        let commands = self.open_commands(agent.id()).await?;
        let queued = commands.iter().filter(|row| row.state == CommandState::Queued).map(|row| row.id);
        self.deliver(whose(agent), queued.collect()).await?;
        Ok(commands)
    }

    /// Notes that a device got a command of its own; whatever else it names is ignored.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn acknowledge_command(&self, agent: &AgentCaller, id: CommandId) -> Result<(), StoreError> {
        self.deliver(whose(agent), vec![id]).await
    }

    pub(crate) async fn deliver(
        &self,
        (device, tenant): (DeviceId, Tenant),
        ids: Vec<CommandId>,
    ) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let now = self.now();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for id in ids {
                        let row = w.command(id).await?.filter(|row| row.device == device);
                        if let Some(row) = row
                            && w.deliver_command(id, now).await?
                        {
                            let actor = Actor::Device(device);
                            let entry = entry(&row, &tenant, AuditEvent::CommandDelivered, (now, actor));
                            w.append_audit(&entry).await?;
                        }
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Records what came of a command. The first word counts; a later one, also one that comes after the
    /// command's time, is taken and changes nothing.
    ///
    /// # Errors
    /// See [`RecordResultError`]. Fails closed: another device's command is unknown.
    pub async fn record_result(
        &self,
        agent: &AgentCaller,
        id: CommandId,
        report: CommandReport,
    ) -> Result<(), RecordResultError> {
        self.finish_command(whose(agent), id, report).await
    }

    pub(crate) async fn finish_command(
        &self,
        (device, tenant): (DeviceId, Tenant),
        id: CommandId,
        report: CommandReport,
    ) -> Result<(), RecordResultError> {
        let now = self.now();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let row = w.command(id).await?.filter(|row| row.device == device);
                    let row = row.ok_or(RecordResultError::Unknown)?;
                    finish(w, &row, &tenant, &report.outcome(now), Actor::Device(device)).await?;
                    Ok(())
                })
            })
            .await
    }

    /// Ends the commands whose time has passed.
    pub(crate) async fn expire_commands(&self, now: Timestamp) -> Result<(), StoreError> {
        let due = self.store.read(move |r| Box::pin(async move { r.commands_past_end(now).await })).await?;
        if due.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for row in &due {
                        let Some(device) = w.device(row.device).await? else { continue };
                        let outcome = CommandOutcome {
                            state: CommandState::Expired,
                            at: now,
                            result: None,
                            error: None,
                        };
                        finish(w, row, &device.tenant_slug, &outcome, Actor::System).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Wakes the channels of devices for which another authority on the same database has queued
    /// something.
    pub(crate) async fn wake_for_commands(&self, now: Timestamp) -> Result<(), StoreError> {
        let is_heard = self.ears.are_open();
        let since = self.channels.look(now).or_else(|| is_heard.then(|| now - LOOK_BACK));
        let Some(since) = since else { return Ok(()) };
        let waiting = self
            .store
            .read(move |r| Box::pin(async move { r.devices_with_commands_since(since).await }))
            .await?;
        for device in waiting {
            self.channels.wake(device);
            self.ears.ring(device);
        }
        if is_heard {
            let desired =
                self.store.read(move |r| Box::pin(async move { r.devices_desired_since(since).await }));
            desired.await?.into_iter().for_each(|device| self.ears.ring(device));
        }
        Ok(())
    }
}

fn whose(agent: &AgentCaller) -> (DeviceId, Tenant) {
    (agent.id(), agent.identity().tenant().clone())
}

/// Queues a command within a transaction; whoever does so wakes the device's channel once it is
/// committed.
pub(crate) async fn queue(
    w: &mut Writing<'_>,
    device: &DeviceRow,
    kind: CommandKind,
    payload: Option<CommandPayload>,
    (now, actor): (Timestamp, Actor),
) -> Result<CommandId, StoreError> {
    let row = CommandRow {
        id: CommandId::random(),
        device: device.id,
        job: None,
        kind,
        payload: payload.map(|payload| payload.0),
        state: CommandState::Queued,
        created_at: now,
        expires_at: now + COMMAND_LIFE,
        delivered_at: None,
        finished_at: None,
        result: None,
        error: None,
    };
    put(w, &row, &device.tenant_slug, actor).await?;
    Ok(row.id)
}

/// The same with a command that is there as it is to be.
pub(crate) async fn put(
    w: &mut Writing<'_>,
    row: &CommandRow,
    tenant: &Tenant,
    actor: Actor,
) -> Result<(), StoreError> {
    w.insert_command(row).await?;
    w.append_audit(&entry(row, tenant, AuditEvent::CommandQueued, (row.created_at, actor))).await
}

/// Records an outcome within a transaction, unless there is one.
pub(crate) async fn finish(
    w: &mut Writing<'_>,
    row: &CommandRow,
    tenant: &Tenant,
    outcome: &CommandOutcome,
    actor: Actor,
) -> Result<(), StoreError> {
    let event = match outcome.state {
        CommandState::Completed => AuditEvent::CommandCompleted,
        CommandState::Failed => AuditEvent::CommandFailed,
        CommandState::Expired => AuditEvent::CommandExpired,
        // No outcomes.
        CommandState::Queued | CommandState::Delivered => return Ok(()),
    };
    if w.finish_command(row.id, row.device, outcome).await? {
        w.append_audit(&entry(row, tenant, event, (outcome.at, actor))).await?;
    }
    Ok(())
}

fn entry(
    row: &CommandRow,
    tenant: &Tenant,
    event: AuditEvent,
    (at, actor): (Timestamp, Actor),
) -> AuditEntry {
    AuditEntry::new(Some(tenant.clone()), at, event, actor)
        .device(row.device)
        .detail("command", row.id)
        .detail("type", row.kind)
}
