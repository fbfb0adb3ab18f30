//! Devices that show tokens at the MQTT door, looked for in the database.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_authority::provisioning_tokens::TokenRefused;
use countersign_edge::mqtt::{Login, Recognising, TokenRefusal, Tokens};
use tokio::runtime::Handle;

/// The tokens of the authority's devices.
#[derive(Debug)]
pub(super) struct KnownTokens {
    authority: Arc<Authority>,
    runtime: Handle,
}

impl KnownTokens {
    /// Of this authority; must be called on the runtime that its work is to be done on.
    pub(super) fn new(authority: Arc<Authority>) -> Self {
        Self { authority, runtime: Handle::current() }
    }
}

impl Tokens for KnownTokens {
    fn recognise(&self, login: Login) -> Recognising {
        let authority = Arc::clone(&self.authority);
        let found = self.runtime.spawn(async move {
            authority.recognise_token(login.device, login.token.reveal(), login.from).await
        });
        Box::pin(async move {
            let found = found.await.map_err(|_panicked| TokenRefusal::Failed)?;
            found.map_err(|refused| match refused {
                TokenRefused::Failed => TokenRefusal::Failed,
                TokenRefused::NotSet => TokenRefusal::NotSet,
                TokenRefused::Invalid => TokenRefusal::Invalid,
                TokenRefused::Store(error) => {
                    tracing::error!(%error, "provisioning token not looked for");
                    TokenRefusal::Failed
                }
            })
        })
    }
}
