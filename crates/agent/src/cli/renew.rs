//! `countersign-agent renew`.

use std::sync::Arc;

use countersign_agent::connect::Connect;
use countersign_agent::disk::Disk;
use countersign_agent::host::Host;
use countersign_agent::renew::{Renewal, Trigger};
use countersign_core::time::Clock;
use serde::Serialize;

use super::arguments::Json;
use super::output;
use super::start::Context;

#[derive(Serialize)]
struct Report {
    mtls_cert_expires: String,
}

pub(crate) async fn renew(context: &Context, format: Json) -> anyhow::Result<()> {
    let disk: Arc<dyn Disk> = Arc::clone(&context.disk);
    let clock: Arc<dyn Clock> = Arc::<countersign_core::time::SystemClock>::clone(&context.clock);
    let host = Host::this(&context.environment);
    let outcome = Renewal::new(disk, clock, Connect::default(), host.name).settle(Trigger::Asked).await?;
    let expires = outcome.renewed.ok_or_else(|| {
        anyhow::anyhow!("there is neither a certificate nor a key that could be renewed; enrol again")
    })?;
    if format.json {
        return output::json(&Report { mtls_cert_expires: expires });
    }
    output::text(&format!("mTLS certificate renewed (expires: {expires})"))
}
