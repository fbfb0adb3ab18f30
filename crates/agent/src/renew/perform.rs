//! Doing what [`next_step`] decides: one step, one write.

use std::sync::Arc;

use countersign_api::client::{Client, ClientError};
use countersign_api::wire::agent::{ConfirmRequest, IssuedMtls, RenewRequest};
use countersign_core::proof::ProofSubject;
use countersign_core::time::{Clock, Timestamp};
use countersign_tls::ClientError as TlsError;
use thiserror::Error;

use super::answer::{AfterConfirm, KEY_DENIED, Setback, after_confirm};
use super::plan::{Channel, Proof, Situation, Step, Trigger, next_step};
use crate::certificate::{CertificateError, public_key_der};
use crate::config::{Config, Credential, Enrolment, HeldCertificate, Pending, PendingCertificate};
use crate::connect::{Connect, Showing};
use crate::disk::{Disk, DiskError};
use crate::key::{DeviceKey, KeyError};
use crate::possession::{PossessionError, prove};
use crate::random;

/// The most steps of one go: two renewals in a row, and a fresh start in each.
const MOST_STEPS: usize = 12;

/// A renewal did not come to its end. What it has come to is saved.
#[derive(Debug, Error)]
pub enum RenewError {
    /// The device has not enrolled.
    #[error("this device has not enrolled")]
    NotEnrolled,
    /// The configuration could not be read or written.
    #[error("keep the state of the renewal")]
    Disk(#[from] DiskError),
    /// The saved certificate, key or CA cannot be used.
    #[error("set up the connection")]
    Tls(#[from] TlsError),
    /// The control plane refused, or could not be reached.
    #[error("renew the certificate")]
    Client(#[from] ClientError),
    /// The device's key cannot be used.
    #[error("use the device's key")]
    Key(#[from] KeyError),
    /// The issued certificate cannot be read.
    #[error("read the issued certificate")]
    Certificate(#[from] CertificateError),
    /// The issued certificate is for a key that is not ours.
    #[error("the control plane issued a certificate for another key")]
    WrongKey,
}

impl From<PossessionError> for RenewError {
    fn from(error: PossessionError) -> Self {
        match error {
            PossessionError::Tls(error) => Self::Tls(error),
            PossessionError::Client(error) => Self::Client(error),
            PossessionError::Key(error) => Self::Key(error),
        }
    }
}

impl RenewError {
    /// What it means for when to try again.
    #[must_use]
    pub fn setback(&self) -> Setback {
        match self {
            Self::Client(error) => Setback::of(error),
            // Another process is at it, or the disk is full: neither lasts.
            Self::Disk(_) => Setback::Outage { retry_after: None },
            Self::NotEnrolled | Self::Tls(_) | Self::Key(_) | Self::Certificate(_) | Self::WrongKey => {
                Setback::Refused
            }
        }
    }
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A key was made.
    KeyMade,
    /// A certificate was issued.
    Issued,
    /// The new certificate is the one in use; its end, as it is saved.
    Renewed(String),
    /// The certificate, or it and its key, counts for nothing and was dropped.
    Dropped,
    /// There is nothing to do before then.
    Waiting(Timestamp),
    /// There is nothing that could be renewed.
    Nothing,
}

/// What a go of steps came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The end of the new certificate, if there is one.
    pub renewed: Option<String>,
    /// When the next renewal is due by the agent's own clock.
    pub next: Option<Timestamp>,
}

/// Renews the certificate of an enrolled device.
pub struct Renewal {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    connect: Connect,
    common_name: String,
    channel: Channel,
    spread: u16,
}

impl Renewal {
    /// Renews the device whose configuration is on `disk`; `common_name` is for people.
    #[must_use]
    pub fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        connect: Connect,
        common_name: impl Into<String>,
    ) -> Self {
        // Between 0 and 1000.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction is 0 to 1")]
        let spread = (random::fraction() * 1000.0) as u16;
        let common_name = common_name.into();
        Self { disk, clock, connect, common_name, channel: Channel::Handshake, spread }
    }

    /// From now on, possession is shown by signatures alone: what a quarantined device does, whose
    /// certificate opens nothing.
    pub const fn prefer_signatures(&mut self) {
        self.channel = Channel::Signature;
    }

    /// From now on, possession is shown in the handshake where there is a certificate to show: what proves
    /// one that the control plane has no record of.
    pub const fn prefer_handshakes(&mut self) {
        self.channel = Channel::Handshake;
    }

    /// Does whatever is to be done until there is nothing left.
    ///
    /// When showing the certificate is refused, the same is tried with a signature: the control
    /// plane may be behind something that ends TLS.
    ///
    /// # Errors
    /// See [`RenewError`]; calling it again goes on where it stopped.
    pub async fn settle(&mut self, trigger: Trigger) -> Result<Outcome, RenewError> {
        let mut outcome = Outcome::default();
        let mut trigger = trigger;
        for _ in 0..MOST_STEPS {
            match self.advance(trigger).await {
                Ok(Progress::KeyMade | Progress::Issued | Progress::Dropped) => {}
                Ok(Progress::Renewed(expires)) => {
                    outcome.renewed = Some(expires);
                    trigger = Trigger::Clock;
                    self.channel = Channel::Handshake;
                }
                Ok(Progress::Waiting(at)) => return Ok(Outcome { next: Some(at), ..outcome }),
                Ok(Progress::Nothing) => return Ok(outcome),
                Err(error) => self.fall_back(error)?,
            }
        }
        Ok(outcome)
    }

    /// After an error, the next attempt is by signature; at once, if what failed could be the
    /// handshake and waiting would not help.
    fn fall_back(&mut self, error: RenewError) -> Result<(), RenewError> {
        let before = std::mem::replace(&mut self.channel, Channel::Signature);
        let may_be_the_channel = matches!(&error, RenewError::Client(_) | RenewError::Tls(_));
        if before == Channel::Handshake && may_be_the_channel && error.setback() == Setback::Refused {
            tracing::debug!(error = %error, "showing the certificate did not work, trying a signature");
            return Ok(());
        }
        Err(error)
    }

    /// Does one step and saves what it came to.
    ///
    /// # Errors
    /// See [`RenewError`]; what was saved before stands.
    pub async fn advance(&self, trigger: Trigger) -> Result<Progress, RenewError> {
        if let Some(idle) = self.idle(trigger)? {
            return Ok(idle);
        }
        let _lock = self.disk.lock()?;
        // Another process may have changed it before the lock was ours.
        let mut config = self.disk.load()?.ok_or(RenewError::NotEnrolled)?;
        let mut enrolment = config.enrolment.take().ok_or(RenewError::NotEnrolled)?;
        let desk = Desk { renewal: self, config };
        let situation = Situation::of(&enrolment, trigger, self.channel, self.spread);
        match next_step(&situation, self.clock.now()) {
            Step::Nothing => Ok(Progress::Nothing),
            Step::Wait(at) => Ok(Progress::Waiting(at)),
            Step::MakeKey => {
                let key = DeviceKey::generate()?.to_pem()?;
                enrolment.pending = Some(Pending { key, certificate: None });
                desk.save(enrolment)?;
                Ok(Progress::KeyMade)
            }
            Step::Request(proof) => desk.request(enrolment, proof).await,
            Step::Confirm(channel) => desk.confirm(enrolment, channel).await,
        }
    }

    /// Whether there is nothing to do, without taking the lock.
    fn idle(&self, trigger: Trigger) -> Result<Option<Progress>, RenewError> {
        let config = self.disk.load()?.ok_or(RenewError::NotEnrolled)?;
        let enrolment = config.enrolment.ok_or(RenewError::NotEnrolled)?;
        let situation = Situation::of(&enrolment, trigger, self.channel, self.spread);
        Ok(match next_step(&situation, self.clock.now()) {
            Step::Nothing => Some(Progress::Nothing),
            Step::Wait(at) => Some(Progress::Waiting(at)),
            Step::MakeKey | Step::Request(_) | Step::Confirm(_) => None,
        })
    }
}

/// One step's work: the configuration without its enrolment, which the step owns and gives back.
struct Desk<'a> {
    renewal: &'a Renewal,
    config: Config,
}

impl Desk<'_> {
    fn save(&self, enrolment: Enrolment) -> Result<(), DiskError> {
        let config = Config { enrolment: Some(enrolment), ..self.config.clone() };
        self.renewal.disk.save(&config)
    }

    fn client(&self, showing: Showing<'_>) -> Result<Client, RenewError> {
        let ca_pem = self.config.ca_pem.as_deref().ok_or(RenewError::NotEnrolled)?;
        Ok(self.renewal.connect.client(&self.config.server, ca_pem, showing)?)
    }

    async fn request(&self, mut enrolment: Enrolment, proof: Proof) -> Result<Progress, RenewError> {
        let Some(pending) = &enrolment.pending else { return Ok(Progress::Dropped) };
        let key = DeviceKey::from_pem(&pending.key)?;
        match self.ask(&enrolment, &key, proof).await {
            Ok(certificate) => {
                let key = pending.key.clone();
                enrolment.pending = Some(Pending { key, certificate: Some(certificate) });
                self.save(enrolment)?;
                Ok(Progress::Issued)
            }
            Err(RenewError::Client(error)) if is_key_denied(&error) && enrolment.current.is_some() => {
                // No certificate came of this key, so nothing is lost with it.
                enrolment.pending = None;
                self.save(enrolment)?;
                Err(error.into())
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(
        &self,
        enrolment: &Enrolment,
        key: &DeviceKey,
        proof: Proof,
    ) -> Result<PendingCertificate, RenewError> {
        let request = key.signing_request(&self.renewal.common_name)?;
        let subject = ProofSubject::Renew { csr_sha256: request.sha256 };
        let (client, proof) = match (proof, &enrolment.current) {
            (Proof::Handshake, Some(current)) => {
                (self.client(Showing::Certificate(&current.certificate, &current.key))?, None)
            }
            (Proof::CurrentKey, Some(current)) => {
                let client = self.client(Showing::Nothing)?;
                let current = DeviceKey::from_pem(&current.key)?;
                let proof = prove(&client, enrolment, &current, subject).await?;
                (client, Some(proof))
            }
            (Proof::PendingKey, _) | (Proof::Handshake | Proof::CurrentKey, None) => {
                let client = self.client(Showing::Nothing)?;
                let proof = prove(&client, enrolment, key, subject).await?;
                (client, Some(proof))
            }
        };
        let body = RenewRequest { protocol_version: Some(2), csr: Some(request.pem), proof };
        let answer = client.renew(enrolment.token.expose(), &body).await?;
        let certificate = received(&answer.mtls, self.renewal.clock.now());
        if public_key_der(&certificate.leaf_pem)? != key.public_key_der()? {
            return Err(RenewError::WrongKey);
        }
        Ok(PendingCertificate { id: answer.certificate_id, certificate })
    }

    async fn confirm(&self, mut enrolment: Enrolment, channel: Channel) -> Result<Progress, RenewError> {
        let Some(Pending { key, certificate: Some(issued) }) = enrolment.pending.clone() else {
            return Ok(Progress::Dropped);
        };
        let after = match self.send_confirm(&enrolment, &issued, channel).await {
            Ok(()) => AfterConfirm::Adopt,
            Err(RenewError::Client(error)) => match error.answer().map(after_confirm) {
                Some(AfterConfirm::TryAgain) | None => return Err(error.into()),
                Some(after) => after,
            },
            Err(error) => return Err(error),
        };
        match after {
            AfterConfirm::Adopt => {
                let expires = issued.certificate.expires.clone();
                enrolment.current = Some(Credential { key, certificate: issued.certificate });
                enrolment.pending = None;
                self.save(enrolment)?;
                return Ok(Progress::Renewed(expires));
            }
            // Without a certificate in use this key is the only one the control plane knows.
            AfterConfirm::StartOver if enrolment.current.is_some() => enrolment.pending = None,
            AfterConfirm::StartOver | AfterConfirm::AskAgain | AfterConfirm::TryAgain => {
                enrolment.pending = Some(Pending { key, certificate: None });
            }
        }
        tracing::warn!(certificate = %issued.id, "the new certificate cannot be confirmed any more, asking again");
        self.save(enrolment)?;
        Ok(Progress::Dropped)
    }

    async fn send_confirm(
        &self,
        enrolment: &Enrolment,
        issued: &PendingCertificate,
        channel: Channel,
    ) -> Result<(), RenewError> {
        let Some(pending) = &enrolment.pending else { return Ok(()) };
        let (client, proof) = match channel {
            Channel::Handshake => {
                (self.client(Showing::Certificate(&issued.certificate, &pending.key))?, None)
            }
            Channel::Signature => {
                let client = self.client(Showing::Nothing)?;
                let key = DeviceKey::from_pem(&pending.key)?;
                let proof = prove(&client, enrolment, &key, ProofSubject::Confirm(issued.id)).await?;
                (client, Some(proof))
            }
        };
        let body = ConfirmRequest { certificate_id: issued.id, proof };
        client.confirm(enrolment.token.expose(), &body).await?;
        Ok(())
    }
}

/// An issued certificate as it is kept.
pub(crate) fn received(issued: &IssuedMtls, now: Timestamp) -> HeldCertificate {
    HeldCertificate {
        leaf_pem: issued.certificate.clone(),
        chain_pem: issued.chain.clone(),
        issued: Some(now.floor_to_second().to_string()),
        expires: issued.expires_at.to_string(),
    }
}

fn is_key_denied(error: &ClientError) -> bool {
    error.answer().is_some_and(|answer| answer.has_code(KEY_DENIED))
}
