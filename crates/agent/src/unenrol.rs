//! The end of an enrolment, as the device wants it: the control plane is told first, and then
//! everything that the device has is removed.

use std::sync::Arc;

use countersign_api::client::{Client, ServerUrl};
use countersign_api::wire::agent::Proof;
use countersign_api::wire::credentials::ProvedRequest;
use countersign_core::ids::{DeviceId, DeviceName};
use countersign_core::proof::ProofSubject;
use countersign_core::time::Clock;
use futures_util::FutureExt as _;
use thiserror::Error;

use crate::config::{Config, Enrolment};
use crate::connect::Connect;
use crate::disk::{Disk, DiskError};
use crate::possession::{Holder, PossessionError};

/// What becomes of the device's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// They are removed.
    Remove,
    /// They stay; what is in them opens nothing any more.
    Keep,
}

/// The device whose enrolment has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unenrolled {
    /// Its name.
    pub name: DeviceName,
    /// Its id.
    pub device: DeviceId,
    /// Where it was enrolled.
    pub server: ServerUrl,
}

/// The enrolment has not ended, or not all of it.
#[derive(Debug, Error)]
pub enum UnenrolError {
    /// The device has not enrolled.
    #[error("this device has not enrolled")]
    NotEnrolled,
    /// The control plane was not told.
    #[error("tell the control plane")]
    Ask(#[from] PossessionError),
    /// The configuration could not be read or removed.
    #[error("remove what the device has")]
    Disk(#[from] DiskError),
}

/// Who the device is.
///
/// # Errors
/// When it has not enrolled, or its configuration cannot be read.
pub fn enrolled(disk: &dyn Disk) -> Result<Unenrolled, UnenrolError> {
    let (config, enrolment) = load(disk)?;
    Ok(Unenrolled { name: enrolment.name, device: enrolment.device, server: config.server })
}

/// Ends the enrolment: the control plane revokes the device's certificates and token, and the
/// device's files are removed.
///
/// # Errors
/// See [`UnenrolError`]. While the control plane has not agreed, nothing is removed.
pub async fn unenrol(
    disk: &Arc<dyn Disk>,
    clock: &dyn Clock,
    connect: Connect,
    files: Files,
) -> Result<Unenrolled, UnenrolError> {
    let lock = disk.lock()?;
    let (config, enrolment) = load(disk.as_ref())?;
    let holder = Holder { connect, config: &config, enrolment: &enrolment, now: clock.now() };
    let request = |client: Client, proof: Option<Proof>| {
        let (token, agent) = (enrolment.token.clone(), enrolment.agent);
        async move { client.unenroll(token.expose(), &agent, &ProvedRequest { proof }).await }.boxed()
    };
    holder.ask(ProofSubject::Unenroll, request).await?;
    // The lock is a file, too.
    drop(lock);
    if files == Files::Remove {
        disk.remove()?;
    }
    Ok(Unenrolled { name: enrolment.name, device: enrolment.device, server: config.server })
}

/// Removes the device's files without telling the control plane, which goes on knowing the device.
///
/// # Errors
/// When they cannot be removed.
pub fn forget(disk: &dyn Disk) -> Result<(), UnenrolError> {
    drop(disk.lock()?);
    Ok(disk.remove()?)
}

fn load(disk: &dyn Disk) -> Result<(Config, Enrolment), UnenrolError> {
    let mut config = disk.load()?.ok_or(UnenrolError::NotEnrolled)?;
    let enrolment = config.enrolment.take().ok_or(UnenrolError::NotEnrolled)?;
    Ok((config, enrolment))
}
