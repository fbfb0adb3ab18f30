//! What admins and their scripts say and hear about rules.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::AppliedEdges;

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
