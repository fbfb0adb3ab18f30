//! What an edge has: its name, its certificates with their keys, and whom it trusts. In one file, so that a
//! certificate and its key change together.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::wire::edges::{EdgeCertificateBody, EdgeEquipment};
use countersign_core::certificate::Lifetime;
use countersign_core::identity::TrustDomain;
use countersign_core::ids::EdgeName;
use countersign_tls::{ClientIdentity, ClientTls, ServerCredential, ServerTrust, TrustKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::serve::files::write_private;

/// A certificate with its key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keyed {
    certificate: EdgeCertificateBody,
    #[serde(with = "secret")]
    key: Zeroizing<String>,
}

/// What an edge has.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Equipment {
    name: EdgeName,
    trust_domain: String,
    root: String,
    snapshot_key: String,
    own: Keyed,
    door: Option<Keyed>,
}

/// Fresh keys, whose certificates are still to come.
pub(super) struct Keys {
    pub(super) own: Zeroizing<String>,
    pub(super) door: Option<Zeroizing<String>>,
}

/// Where it is kept.
pub(super) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("edge.json")
}

impl Equipment {
    /// What the authority gave for these keys.
    pub(super) fn new(given: EdgeEquipment, keys: Keys) -> Self {
        Self {
            name: given.name,
            trust_domain: given.trust_domain,
            root: given.root,
            snapshot_key: given.snapshot_key,
            own: Keyed { certificate: given.certificate, key: keys.own },
            door: given.door.zip(keys.door).map(|(certificate, key)| Keyed { certificate, key }),
        }
    }

    /// What is kept; `None` before the edge has enrolled.
    pub(super) fn load(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = path(data_dir);
        match fs_err::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => {
                let text = Zeroizing::new(read.context("read what this edge enrolled for")?);
                let read = serde_json::from_str(&text);
                read.map(Some).with_context(|| format!("understand {}", path.display()))
            }
        }
    }

    pub(super) fn save(&self, data_dir: &Path) -> anyhow::Result<()> {
        let text =
            Zeroizing::new(serde_json::to_vec_pretty(self).context("write down what was enrolled for")?);
        write_private(&path(data_dir), &text)
    }

    pub(super) const fn name(&self) -> &EdgeName {
        &self.name
    }

    pub(super) fn trust_domain(&self) -> anyhow::Result<TrustDomain> {
        self.trust_domain.parse().context("read the trust domain")
    }

    /// The root that its authority is trusted by, PEM.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The key by which it knows what its authority says.
    pub(super) fn trust_key(&self) -> anyhow::Result<TrustKey> {
        let der = STANDARD.decode(&self.snapshot_key).context("read the authority's key")?;
        TrustKey::from_spki_der(&der).context("use the authority's key")
    }

    /// How it reaches its authority.
    pub(super) fn client_tls(&self) -> anyhow::Result<ClientTls> {
        let EdgeCertificateBody { pem, chain, .. } = &self.own.certificate;
        let identity = ClientIdentity::from_pem(format!("{pem}{chain}"), self.own.key.as_str());
        let tls = ClientTls::new(&ServerTrust::Roots(self.root.clone()), Some(&identity));
        tls.context("use the edge's certificate")
    }

    /// What its doors show, if the authority gave them a certificate.
    pub(super) fn door_credential(&self) -> anyhow::Result<Option<ServerCredential>> {
        let Some(Keyed { certificate, key }) = &self.door else { return Ok(None) };
        let chain = format!("{}{}", certificate.pem, certificate.chain);
        ServerCredential::from_pem(&chain, key).map(Some).context("use the doors' certificate")
    }

    /// From when until when the first of its certificates to end is good.
    pub(super) fn lifetime(&self) -> anyhow::Result<Lifetime> {
        let all = std::iter::once(&self.own).chain(&self.door);
        let lives = all.map(|keyed| Lifetime {
            issued_at: keyed.certificate.issued_at,
            expires_at: keyed.certificate.expires_at,
        });
        lives.min_by_key(|life| life.expires_at).ok_or_else(|| anyhow!("there is no certificate"))
    }
}

mod secret {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        secret: &Zeroizing<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}
