//! Devices that show tokens at the MQTT door of an edge: the authority knows them.

use countersign_api::client::Client;
use countersign_api::wire::edge_devices::{EdgeLogin, EdgeLoginRequest};
use countersign_core::identity::{Identity, TrustDomain};
use countersign_core::snapshot::{CertificateClaim, TOKEN_SESSION};
use countersign_core::time::{Clock as _, SystemClock};
use countersign_edge::mqtt::{Login, Recognising, TokenRefusal, Tokens};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// The tokens that an authority elsewhere knows.
#[derive(Debug)]
pub(super) struct AskedFor {
    clients: watch::Receiver<Client>,
    trust_domain: TrustDomain,
    runtime: Handle,
}

impl AskedFor {
    /// Asked so; must be called on the runtime that its work is to be done on.
    pub(super) fn new(clients: watch::Receiver<Client>, trust_domain: TrustDomain) -> Self {
        Self { clients, trust_domain, runtime: Handle::current() }
    }
}

impl Tokens for AskedFor {
    fn recognise(&self, login: Login) -> Recognising {
        let (client, trust_domain) = (self.clients.borrow().clone(), self.trust_domain.clone());
        let asked = self.runtime.spawn(ask(client, trust_domain, login));
        Box::pin(async move { asked.await.map_err(|_panicked| TokenRefusal::Failed)? })
    }
}

async fn ask(
    client: Client,
    trust_domain: TrustDomain,
    Login { device: (tenant, device), token, from }: Login,
) -> Result<CertificateClaim, TokenRefusal> {
    let identity = Identity::new(trust_domain, tenant.clone(), device.clone());
    let request = EdgeLoginRequest { tenant, device, token: token.reveal().to_owned(), address: from };
    match client.log_device_in(&request).await {
        Ok(EdgeLogin::Recognised(serial)) => {
            let now = SystemClock.now();
            Ok(CertificateClaim::of_token(identity, serial, now, now + TOKEN_SESSION))
        }
        Ok(EdgeLogin::Refused(code)) => {
            let known = [TokenRefusal::NotSet, TokenRefusal::Invalid];
            Err(known.into_iter().find(|known| known.code() == code).unwrap_or(TokenRefusal::Failed))
        }
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(error, "provisioning token not looked for");
            Err(TokenRefusal::Failed)
        }
    }
}
