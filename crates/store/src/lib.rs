//! The records of Countersign: SQL, migrations and the append-only audit log.
//!
//! The only crate that names SQL. Every change of state and its audit entry are one transaction: a
//! use case passes a closure to [`Store::write`], everything in it happens or nothing does, and the
//! caller hears of it after the commit. It decides nothing: what may follow what is said by
//! `countersign-core`, and compare-and-set updates make sure that of two decisions one wins.
//! It knows no HTTP, no TLS and signs nothing; keys come here sealed, secrets as hashes.
//!
//! Start reading at [`Store`], then [`Writing`], then `records/`, a file per noun: one SQL text for both
//! databases. What is said to one and not to the other is in `sqlite/` and `postgres/`.

mod archive;
mod connection;
mod copy;
mod epochs;
mod error;
mod job;
mod link;
mod meter;
mod migrations;
mod notices;
mod postgres;
mod readers;
mod records;
mod row;
mod rows;
mod sqlite;
mod statement;
mod store;
mod transaction;
mod url;
mod value;
mod writer;

pub use archive::{ArchiveError, ArchiveFacts, ArchivedTable, Restoring, archive, inspect_archive};
pub use copy::{CopiedTable, CopyError, CopyProgress, CopyReport, copy};
pub use epochs::{Enrolled, Enrolments, Epochs};
pub use error::StoreError;
pub use meter::{COMMIT_BUCKETS, Commits, StoreNumbers};
pub use notices::{Notice, NoticedGroup};
pub use records::alerts::{AlertFilter, AlertRow, AlertsOnly, DeliveryRow, News, Severity, SilenceRow};
pub use records::anchors::{AnchorKeyRow, AnchorRow};
pub use records::api_tokens::{ApiTokenFilter, ApiTokenRow};
pub use records::audit::{AuditFilter, AuditRecord, ChainScope, LinkedRecord, LogPart};
pub use records::audit_cuts::AuditCutRow;
pub use records::audit_streams::{AuditStreamRow, StreamFailure};
pub use records::audit_verification::{AuditFault, AuditReport, BrokenEntry, ChainReport};
pub use records::brokered::BrokeredDevice;
pub use records::ca_requests::CaRequestRow;
pub use records::census::CensusRow;
pub use records::certificates::{
    CertificateChange, CertificateCursor, CertificateFilter, CertificatePage, CertificateRow,
};
pub use records::challenges::ChallengeRow;
pub use records::commands::{CommandCursor, CommandOutcome, CommandPage, CommandRow};
pub use records::crls::{CrlDate, CrlMark, CrlName, CrlRow};
pub use records::denials::{
    DeniedKeyFilter, DeniedKeyPage, DeniedKeyRow, DeniedTraitRow, ListedDeniedKey, TraitKind,
};
pub use records::device_lists::{DeviceCursor, DeviceFilter, DevicePage, SiteFilter};
pub use records::device_networks::NewNetworkRow;
pub use records::devices::{CertificateSummary, DeviceRow, Inserted};
pub use records::edge_reports::EdgeReportRow;
pub use records::edges::{EdgeAttachment, EdgeLoad, EdgeRow};
pub use records::enrollment_keys::{Approval, EnrollmentKeyRow};
pub use records::expiry::{EndingCertificates, ExpiringDevices, ServicesEnding};
pub use records::falling::{
    CertificateStanding, Fall, Falling, FallingCertificate, RevocationSelector, StrandedDevice,
};
pub use records::foreign_trusts::ForeignTrustRow;
pub use records::glance::StatusCount;
pub use records::installation::Installation;
pub use records::intents::IntentRow;
pub use records::issuers::{IssuerRole, IssuerRow, IssuerState, KeptKey, Origin};
pub use records::jobs::{JobCursor, JobPage, JobPart, JobRow};
pub use records::messages::{
    MessagePart, NewTelemetry, SetAsideFilter, SetAsideRow, TelemetryFilter, TelemetryRow,
};
pub use records::monitors::{AcceptedPin, CertificateMark, MonitorRow, SeenCertificate};
pub use records::oidc_links::OidcSubject;
pub use records::passkeys::{PasskeyChallenge, PasskeyPurpose, PasskeyRow};
pub use records::password_tokens::PasswordTokenRow;
pub use records::presence::Presence;
pub use records::provisioning_tokens::ProvisioningTokenRow;
pub use records::refusals::RefusalRow;
pub use records::reports::{AgentReport, TrustBundleReport};
pub use records::restorations::UnprovedPeriodRow;
pub use records::revocations::RevocationRow;
pub use records::rollout::{
    BlockedDevice, BlockedFilter, BlockedPage, OVER_CERTIFICATE, ObservedRule, TenantRollout, UsageRow,
    WouldRefuse, rule_outcome,
};
pub use records::rotation_adoption::{
    DependentCursor, DependentDevice, DependentPage, Dependents, SeenDevice,
};
pub use records::rotations::RotationRow;
pub use records::rules::{KeptRule, RuleRevisionRow, RuleUse};
pub use records::second_factors::{SecondFactorPolicy, TotpKeyRow};
pub use records::selections::SelectionRow;
pub use records::service_certificates::{
    IssuedCount, ServiceCertificateFilter, ServiceCertificateRow, ServiceState,
};
pub use records::service_keys::{
    RecordedService, SealedServiceKey, ServiceCertificateCursor, ServiceCertificatePage, ServiceKey,
};
pub use records::sessions::SessionRow;
pub use records::shadows::{DesiredState, ReportedState, ShadowRow};
pub use records::sites::ListedSite;
pub use records::snapshot_keys::SnapshotKeyRow;
pub use records::staged_tokens::StagedTokenRow;
pub use records::standing::RecordedStanding;
pub use records::tenants::{SiteRow, TenantRow};
pub use records::together::Traits;
pub use records::trust::{
    BarredDevice, BoundCertificate, ChangedCertificate, ChangedDevice, SupersededCertificate, TrustChanges,
    TrustMaterial,
};
pub use records::upstream::{UpstreamCertificateRow, UpstreamIntentRow, UpstreamRevocationRow};
pub use records::users::{PasswordHash, Role, UserRow};
pub use records::{LIST_LIMIT, SWEEP_LIMIT};
pub use store::{Company, Migrated, Store};
pub use transaction::{Reading, Writing};
pub use url::{StoreUrl, StoreUrlError};
