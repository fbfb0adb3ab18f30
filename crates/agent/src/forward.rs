//! Forwards: what a local program says in clear goes on with this device's identity.

use std::sync::Arc;

use countersign_core::ids::SpkiSha256;
use countersign_tls::tunnel::{
    Cargo, Destination, ForwardConfig, ForwardListen, Reach, TlsMaterial, TlsSource,
};
use countersign_tls::{ClientIdentity, ServerTrust};
use thiserror::Error;

use crate::disk::{Disk, DiskError};

/// A forward as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardSettings {
    /// Where it listens.
    pub listen: ForwardListen,
    /// Who may reach that.
    pub reach: Reach,
    /// Where it leads.
    pub to: Destination,
    /// What goes through it.
    pub cargo: Cargo,
    /// The keys by which the door is recognised; without any, the control plane's CAs are.
    pub pins: Vec<SpkiSha256>,
}

impl ForwardSettings {
    /// What is to be run.
    #[must_use]
    pub fn config(&self) -> ForwardConfig {
        ForwardConfig { cargo: self.cargo, ..ForwardConfig::new(self.listen.clone(), self.to.clone()) }
    }
}

/// There is no identity to forward with.
#[derive(Debug, Error)]
pub enum ForwardError {
    /// The device has not enrolled.
    #[error("this device has not enrolled")]
    NotEnrolled,
    /// It has not been given a certificate.
    #[error("this device has no certificate yet")]
    NoCertificate,
    /// The configuration cannot be read.
    #[error("read the certificate")]
    Disk(#[from] DiskError),
}

/// The device's identity, and by what the door is recognised, as they are on disk at the moment: a forward
/// follows renewals by itself.
#[must_use]
pub fn source(disk: Arc<dyn Disk>, pins: Vec<SpkiSha256>) -> TlsSource {
    TlsSource::new(move || Ok(material(&*disk, &pins)?))
}

fn material(disk: &dyn Disk, pins: &[SpkiSha256]) -> Result<TlsMaterial, ForwardError> {
    let config = disk.load()?.ok_or(ForwardError::NotEnrolled)?;
    let enrolment = config.enrolment.ok_or(ForwardError::NotEnrolled)?;
    let current = enrolment.current.ok_or(ForwardError::NoCertificate)?;
    let trust = match pins {
        [] => ServerTrust::Roots(config.ca_pem.unwrap_or_default()),
        keys => ServerTrust::Keys(keys.to_vec()),
    };
    let identity = ClientIdentity::from_pem(current.certificate.full_chain_pem(), current.key.expose());
    Ok(TlsMaterial { trust, identity: Some(identity) })
}
