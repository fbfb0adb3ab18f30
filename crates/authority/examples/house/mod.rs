//! The authority that examples measure.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_authority::{Authority, AuthorityConfig, IssuerMode};
use countersign_core::TrustDomain;
use countersign_core::time::SystemClock;
use countersign_store::Store;

/// The authority of a database.
pub(crate) async fn open(store: &Store, directory: &Path) -> Arc<Authority> {
    let config = AuthorityConfig {
        trust_domain: TrustDomain::default(),
        key_encryption_key: countersign_authority::KeySource::File(directory.join("kek")),
        token: None,
        issuer: IssuerMode::Embedded,
        public_base_url: None,
        rules: Vec::new(),
        lists: Vec::new(),
        session_life: Duration::from_secs(3600),
    };
    Authority::open(store.clone(), Arc::new(SystemClock), config).await.unwrap()
}
