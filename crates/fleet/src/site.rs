//! The installation that the fleet comes to, as devices and as whoever runs it see it.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use countersign_testkit::{Answer, Connection, DoorClient};
use serde::Deserialize;
use serde_json::{Value, json};

/// Where devices come to.
#[derive(Clone, Debug)]
pub struct Site {
    /// The HTTP door.
    pub door: SocketAddr,
    /// What servers are trusted by, PEM.
    pub roots_pem: String,
    /// The admin API, over plain HTTP on this machine.
    pub admin: Admin,
}

/// The admin API, and who asks.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The admin listener.
    pub address: SocketAddr,
    /// The token of an owner.
    pub token: String,
}

#[derive(Deserialize)]
struct EnrolmentKey {
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preview {
    selection_id: String,
    count: u64,
}

impl Site {
    /// A client of the door that shows nothing.
    #[must_use]
    pub fn client(&self) -> DoorClient {
        DoorClient::new(&self.roots_pem)
    }
}

impl Admin {
    /// Makes a tenant, if there is none of this name.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn tenant(&self, slug: &str) -> anyhow::Result<()> {
        let answer = self.ask("POST", "/tenants", &json!({ "slug": slug, "name": slug })).await?;
        match answer.status {
            200..=299 | 409 => Ok(()),
            _ => bail!("make the tenant {slug}: {} {}", answer.status, answer.text()),
        }
    }

    /// An enrolment key for so many devices of a tenant.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn enrolment_key(&self, tenant: &str, uses: usize) -> anyhow::Result<String> {
        let body = json!({ "tenant": tenant, "maxUses": uses, "expiresInMinutes": 600 });
        let key: EnrolmentKey = self.done("POST", "/enrollment-keys", &body).await?;
        Ok(key.key)
    }

    /// Has a tenant's devices show certificates from now on.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn enforce(&self, tenant: &str) -> anyhow::Result<()> {
        let path = format!("/agents/org/{tenant}/settings/mtls");
        self.done::<Value>("PATCH", &path, &json!({ "enforcement": "enforce" })).await.map(drop)
    }

    /// Revokes every certificate of a tenant in one call; how many there were.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn revoke_all_of(&self, tenant: &str) -> anyhow::Result<u64> {
        let query = json!({ "tenant": tenant, "reason": "keyCompromise" });
        let preview: Preview = self.done("POST", "/certificates/revoke/preview", &query).await?;
        let body = json!({ "selectionId": preview.selection_id });
        self.done::<Value>("POST", "/certificates/revoke/execute", &body).await?;
        Ok(preview.count)
    }

    async fn done<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<T> {
        let answer = self.ask(method, path, body).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: {} {}", answer.status, answer.text());
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("read the answer to {method} {path}"))
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let mut connection = Connection::plain(self.address).await.context("reach the admin listener")?;
        let path = format!("/api/v1{path}");
        let asked = connection.json(method, &path, Some(&self.token), Some(body)).await;
        asked.with_context(|| format!("ask {method} {path}"))
    }
}
