//! Rules that load and probably do not mean what they say.

use countersign_core::snapshot::RuleAction;

use super::ast::{Expression, TextSource, TextTest};
use super::fields::{BooleanField, TextField};

/// What kind of doubt it is; stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleLintCode {
    /// `cert_verified` stays true for a revoked certificate.
    VerifiedWithoutRevoked,
    /// A path is let off because it contains something, wherever it stands in it.
    ExclusionByContains,
}

impl RuleLintCode {
    /// The code's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifiedWithoutRevoked => "RULE_LINT_VERIFIED_WITHOUT_REVOKED",
            Self::ExclusionByContains => "RULE_LINT_EXCLUSION_BY_CONTAINS",
        }
    }

    /// What is doubtful and what to write instead.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::VerifiedWithoutRevoked => {
                "cert_verified stays true for a revoked certificate: add `or cf.tls_client_auth.cert_revoked`"
            }
            Self::ExclusionByContains => {
                "`not … contains` lets off every path with that text anywhere in it: compare with `eq`, `in` or \
                 starts_with()"
            }
        }
    }
}

/// A doubt about one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLint {
    /// The rule's name.
    pub rule: String,
    /// The doubt.
    pub code: RuleLintCode,
}

/// One rule, as lints see it.
pub(super) struct Linted<'a> {
    pub(super) name: &'a str,
    pub(super) action: &'a RuleAction,
    pub(super) expression: &'a Expression,
}

/// The doubts about a set of rules.
pub(super) fn lint(rules: &[Linted<'_>]) -> Vec<RuleLint> {
    let blocks = |rule: &&Linted<'_>| matches!(rule.action, RuleAction::Block(_));
    let revoked_blocked =
        rules.iter().filter(blocks).any(|rule| mentions(rule.expression, BooleanField::CertificateRevoked));
    let mut lints = Vec::new();
    for rule in rules.iter().filter(blocks) {
        let mut doubt = |code| lints.push(RuleLint { rule: rule.name.to_owned(), code });
        if !revoked_blocked && mentions(rule.expression, BooleanField::CertificateVerified) {
            doubt(RuleLintCode::VerifiedWithoutRevoked);
        }
        if excludes_by_contains(rule.expression, Sign::Plain) {
            doubt(RuleLintCode::ExclusionByContains);
        }
    }
    lints
}

fn mentions(expression: &Expression, field: BooleanField) -> bool {
    match expression {
        Expression::Logical(_, operands) => operands.iter().any(|operand| mentions(operand, field)),
        Expression::Not(inner) => mentions(inner, field),
        Expression::Flag(found) => *found == field,
        Expression::Affix(..) | Expression::Text(..) | Expression::Integer(..) | Expression::Address(..) => {
            false
        }
    }
}

/// Whether an odd number of `not` stands before something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plain,
    Negated,
}

fn excludes_by_contains(expression: &Expression, sign: Sign) -> bool {
    match expression {
        Expression::Logical(_, operands) => {
            operands.iter().any(|operand| excludes_by_contains(operand, sign))
        }
        Expression::Not(inner) => {
            let flipped = if sign == Sign::Plain { Sign::Negated } else { Sign::Plain };
            excludes_by_contains(inner, flipped)
        }
        Expression::Text(source, TextTest::Contains(_)) => sign == Sign::Negated && is_path(source),
        Expression::Text(..)
        | Expression::Flag(_)
        | Expression::Affix(..)
        | Expression::Integer(..)
        | Expression::Address(..) => false,
    }
}

fn is_path(source: &TextSource) -> bool {
    match source {
        TextSource::Field(field) => matches!(field, TextField::Path | TextField::Uri | TextField::FullUri),
        TextSource::Function(_, inner) => is_path(inner),
    }
}
