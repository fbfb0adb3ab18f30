//! What admins and their scripts say and hear about rules.

use std::net::IpAddr;

use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::AppliedEdges;
use super::schema;

/// GET `/rules`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleList {
    /// Of those in the database: raised by every change; 0: there never was one.
    pub revision: u64,
    /// In the order in which doors ask them.
    pub rules: Vec<RuleBody>,
}

/// A rule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleBody {
    /// What people call it.
    pub name: String,
    /// When it matches, in Cloudflare's rule language.
    pub expression: String,
    /// `block`, `log` or `skip`.
    pub action: String,
    /// Status of a block.
    pub status: Option<u16>,
    /// Body of a block; null: the standard error body.
    pub body: Option<String>,
    /// Media type of that body.
    pub content_type: Option<String>,
    /// Whether doors ask it.
    pub enabled: bool,
    /// `configuration`: it is changed there; `database`: it is changed here.
    pub source: String,
}

/// POST `/rules` and PUT `/rules/:name`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleRequest {
    /// What people call it, unique.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// When it matches, in Cloudflare's rule language.
    #[schema(min_length = 1, max_length = 4096)]
    pub expression: String,
    /// `block`, `log` (write down and go on) or `skip` (pass the remaining rules); `block` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Status of a block; 403 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 400, maximum = 599)]
    pub status: Option<u16>,
    /// Body of a block; the standard error body when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub body: Option<String>,
    /// Media type of that body; `text/plain; charset=utf-8` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 120)]
    pub content_type: Option<String>,
    /// Whether doors ask it; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Of a new rule: before which one of the database; at the end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 120)]
    pub before: Option<String>,
    /// Only if this is still the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub revision: Option<u64>,
}

/// POST `/rules/:name/move`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoveRuleRequest {
    /// Before which one of the database; to the end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 120)]
    pub before: Option<String>,
}

/// What a change answers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RulesChanged {
    /// The revision now.
    pub revision: u64,
    /// How far it has come.
    pub applied_edges: AppliedEdges,
}

/// POST `/rules/test`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleTestRequest {
    /// As a blocking rule before those in force; those alone when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub expression: Option<String>,
    /// `GET /path?query`, and headers below it, a line each.
    #[schema(max_length = 16384)]
    pub request: String,
    /// The client's address; 127.0.0.1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub source: Option<IpAddr>,
    /// The client's certificate with its chain, PEM; its signature is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub certificate: Option<String>,
    /// How it stands: `valid`, `revoked`, `quarantined`, `expired` or `foreign`; by its dates when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
}

/// What the doors would do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleTest {
    /// The rule that blocks the request; null: it is let through.
    pub blocked: Option<RuleBlock>,
    /// The rules that write it down.
    pub logged: Vec<String>,
    /// What is doubtful about the expression.
    pub doubts: Vec<String>,
    /// Each rule, in order.
    pub rules: Vec<TestedRule>,
}

/// What blocks a request.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleBlock {
    /// The rule.
    pub rule: String,
    /// With this status.
    pub status: u16,
}

/// A rule worked out.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestedRule {
    /// Its name.
    pub name: String,
    /// `block`, `log` or `skip`.
    pub action: String,
    /// Whether doors come to ask it: one before it may have ended the matter.
    pub asked: bool,
    /// Whether it matches.
    pub matches: bool,
    /// Its parts, the whole first.
    pub parts: Vec<TestedPart>,
}

/// A part of a rule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestedPart {
    /// How deep it is.
    pub depth: usize,
    /// As it is written.
    pub text: String,
    /// What it comes to.
    pub value: String,
}

/// POST `/rules/import`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleImportRequest {
    /// Cloudflare's custom rules: an answer of its API, a ruleset or a list of rules.
    pub ruleset: serde_json::Value,
    /// Whether to keep what can be said here, at the end; false when absent: nothing changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<bool>,
    /// Only if this is still the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub revision: Option<u64>,
}

/// What became of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleImport {
    /// Those that say the same here.
    pub rules: Vec<RuleBody>,
    /// Those that cannot be said here.
    pub left_out: Vec<RuleLeftOut>,
    /// The revision that has them; null: nothing changed.
    pub revision: Option<u64>,
}

/// A rule that cannot be said here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleLeftOut {
    /// What people call it.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// GET `/rules/revisions`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleRevisionList {
    /// Newest first, the present one included.
    pub revisions: Vec<RuleRevisionBody>,
}

/// The rules of the database after a change.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleRevisionBody {
    /// Its number.
    pub revision: u64,
    /// When it was made.
    #[schema(value_type = schema::Moment)]
    pub changed_at: Timestamp,
    /// By whom, as the audit says it.
    pub changed_by: String,
    /// The names of its rules, in order.
    pub names: Vec<String>,
}

/// POST `/rules/revisions/:revision/restore`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreRulesRequest {
    /// Only if this is still the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub revision: Option<u64>,
}

/// GET `/rules/observed`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ObservedRuleList {
    /// From when on.
    #[schema(value_type = schema::Moment)]
    pub since: Timestamp,
    /// Most devices first.
    pub rules: Vec<ObservedRuleBody>,
}

/// What an observed rule would have blocked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedRuleBody {
    /// The first 100 characters of its name.
    pub rule: String,
    /// How many devices.
    pub devices: u64,
    /// When the last time.
    #[schema(value_type = schema::Moment)]
    pub last_at: Timestamp,
}
