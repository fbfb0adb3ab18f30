//! Census: the numbers of the installation, for metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::CertificateFacts;
use countersign_core::ids::CaName;
use countersign_core::time::Timestamp;
pub use countersign_store::{COMMIT_BUCKETS, CensusRow, Commits, StoreNumbers};
use countersign_store::{IssuerState, StoreError};

use crate::audit_streams::StreamStatus;
use crate::authority::Authority;
use crate::edges::add::EdgeStatus;

/// For how long a count is good: it reads whole tables.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// Within which times active certificates are counted that end, by their names.
pub const ENDS_WITHIN: [(&str, Duration); 4] = [
    ("1h", Duration::from_secs(3600)),
    ("1d", Duration::from_secs(86_400)),
    ("7d", Duration::from_secs(7 * 86_400)),
    ("30d", Duration::from_secs(30 * 86_400)),
];

/// The numbers of the installation.
#[derive(Clone, Debug)]
pub struct Census {
    /// When they were counted.
    pub at: Timestamp,
    /// What is in the database.
    pub rows: CensusRow,
    /// When each CA ends that is not retired.
    pub cas: Vec<(CaName, Timestamp)>,
    /// Of each CA's revocation lists, since when the oldest is as it is, and until when the first is good.
    pub lists: BTreeMap<CaName, (Timestamp, Timestamp)>,
    /// Edges that run elsewhere, by how they are doing.
    pub edges: Vec<(EdgeStatus, u64)>,
    /// Copies of the audit that are sent elsewhere.
    pub streams: Vec<StreamStatus>,
    /// How many epochs the last of the attached edges is behind.
    pub edge_lag: u64,
}

/// The last count.
pub(crate) type KeptCensus = tokio::sync::Mutex<Option<Arc<Census>>>;

impl Authority {
    /// What the database did since the start.
    #[must_use]
    pub fn store_numbers(&self) -> StoreNumbers {
        self.store.numbers()
    }

    /// The numbers of the installation, at most half a minute old.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn census(&self) -> Result<Arc<Census>, StoreError> {
        let mut kept = self.census.lock().await;
        let now = self.now();
        if let Some(census) = kept.as_ref().filter(|census| census.at <= now && now < census.at + GOOD_FOR) {
            return Ok(Arc::clone(census));
        }
        let census = Arc::new(self.count(now).await?);
        *kept = Some(Arc::clone(&census));
        Ok(census)
    }

    async fn count(&self, now: Timestamp) -> Result<Census, StoreError> {
        let ends: Vec<Timestamp> = ENDS_WITHIN.iter().map(|(_, within)| now + *within).collect();
        let (rows, edges, dates) = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    Ok::<_, StoreError>((r.census(&ends).await?, r.edges().await?, r.crl_dates().await?))
                })
            })
            .await?;
        let issuers = self.issuers();
        let cas = issuers.all().filter(|ca| ca.state() != IssuerState::Retired).filter_map(|ca| {
            let facts = CertificateFacts::of(ca.certificate_der()).ok()?;
            Some((ca.name().clone(), facts.not_after))
        });
        let epoch = self.snapshot().version.epoch;
        let listed: Vec<_> = edges.into_iter().map(|row| self.listed_edge(row, now)).collect();
        let of = |status| listed.iter().filter(|edge| edge.status == status).count();
        let attached = listed.iter().filter(|edge| edge.status == EdgeStatus::Attached);
        let lag = attached.map(|edge| epoch.saturating_sub(edge.row.attachment.applied.epoch)).max();
        let edges = EdgeStatus::ALL.map(|status| (status, u64::try_from(of(status)).unwrap_or(u64::MAX)));
        let mut lists = BTreeMap::new();
        for ca in issuers.all() {
            for list in dates.iter().filter(|list| list.list.issuer == ca.key_id()) {
                let (since, until) =
                    lists.entry(ca.name().clone()).or_insert((list.this_update, list.next_update));
                *since = list.this_update.min(*since);
                *until = list.next_update.min(*until);
            }
        }
        Ok(Census {
            at: now,
            rows,
            cas: cas.collect(),
            lists,
            edges: edges.to_vec(),
            streams: self.stream_statuses().await?,
            edge_lag: lag.unwrap_or_default(),
        })
    }
}
