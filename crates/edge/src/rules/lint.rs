//! Rules that load and probably do not mean what they say.

use countersign_core::snapshot::RuleAction;

use super::ast::{Expression, Literal, LogicalOperator, Source, TextTest};
use super::facts::CertificateText;
use super::fields::{BooleanField, Field, MapField, TextField};
use super::function::Function;

/// What kind of doubt it is; stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleLintCode {
    /// `cert_verified` stays true for a revoked certificate.
    VerifiedWithoutRevoked,
    /// A path is let off because it contains something, wherever it stands in it.
    ExclusionByContains,
    /// A regular expression of a path tells `a` from `A`.
    CaseSensitivePath,
    /// There are several CAs, and nothing says whose certificate it must be.
    NoIssuerCheck,
    /// An earlier rule ends the evaluation whenever this one matches.
    Unreachable,
    /// A name of a header in upper case, which no header has.
    UpperCaseHeader,
}

impl RuleLintCode {
    /// Every code.
    pub const ALL: [Self; 6] = [
        Self::VerifiedWithoutRevoked,
        Self::ExclusionByContains,
        Self::CaseSensitivePath,
        Self::NoIssuerCheck,
        Self::Unreachable,
        Self::UpperCaseHeader,
    ];

    /// The code's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifiedWithoutRevoked => "RULE_LINT_VERIFIED_WITHOUT_REVOKED",
            Self::ExclusionByContains => "RULE_LINT_EXCLUSION_BY_CONTAINS",
            Self::CaseSensitivePath => "RULE_LINT_CASE_SENSITIVE_PATH",
            Self::NoIssuerCheck => "RULE_LINT_NO_ISSUER_CHECK",
            Self::Unreachable => "RULE_LINT_UNREACHABLE",
            Self::UpperCaseHeader => "RULE_LINT_UPPER_CASE_HEADER",
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
            Self::CaseSensitivePath => {
                "the regular expression tells `a` from `A`, and servers that do not are reached around it: begin \
                 it with `(?i)`, or compare lower(http.request.uri.path)"
            }
            Self::NoIssuerCheck => {
                "several device CAs are trusted, and cert_verified is true for each of them: compare \
                 device.tenant, or cf.tls_client_auth.cert_issuer_ski, too"
            }
            Self::Unreachable => {
                "an earlier rule ends the evaluation whenever this one matches: put it first, or delete it"
            }
            Self::UpperCaseHeader => {
                "names of headers are in lower case in http.request.headers: this one is never there"
            }
        }
    }
}

/// How many CAs make devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceCas {
    /// One, or it is not known.
    One,
    /// More than one.
    Several,
}

/// A doubt about one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLint {
    /// The rule's name.
    pub rule: String,
    /// The doubt.
    pub code: RuleLintCode,
}

impl std::fmt::Display for RuleLint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rule {:?}: {} [{}]", self.rule, self.code.message(), self.code.as_str())
    }
}

/// One rule, as lints see it.
pub(super) struct Linted<'a> {
    pub(super) name: &'a str,
    pub(super) action: &'a RuleAction,
    pub(super) expression: &'a Expression,
}

impl Linted<'_> {
    const fn blocks(&self) -> bool {
        matches!(self.action, RuleAction::Block(_))
    }

    const fn ends(&self) -> bool {
        matches!(self.action, RuleAction::Block(_) | RuleAction::Skip)
    }

    fn mentions(&self, field: BooleanField) -> bool {
        self.expression.mentions(&|found| found == Field::Boolean(field))
    }
}

/// The doubts about a set of rules.
pub(super) fn lint(rules: &[Linted<'_>], cas: DeviceCas) -> Vec<RuleLint> {
    let blocking = || rules.iter().filter(|rule| rule.blocks());
    let revoked_blocked = blocking().any(|rule| rule.mentions(BooleanField::CertificateRevoked));
    let issuer_checked =
        cas == DeviceCas::One || blocking().any(|rule| rule.expression.mentions(&is_of_issuer));
    let mut lints = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let mut doubt = |code| lints.push(RuleLint { rule: rule.name.to_owned(), code });
        let verified = rule.blocks() && rule.mentions(BooleanField::CertificateVerified);
        if verified && !revoked_blocked {
            doubt(RuleLintCode::VerifiedWithoutRevoked);
        }
        if rule.blocks() && excludes_by_contains(rule.expression, Sign::Plain) {
            doubt(RuleLintCode::ExclusionByContains);
        }
        if rule.blocks() && has(rule.expression, &is_case_sensitive_path) {
            doubt(RuleLintCode::CaseSensitivePath);
        }
        if verified && !issuer_checked {
            doubt(RuleLintCode::NoIssuerCheck);
        }
        let mut earlier = rules.iter().take(at).filter(|earlier| earlier.ends());
        if earlier.any(|earlier| implies(rule.expression, earlier.expression)) {
            doubt(RuleLintCode::Unreachable);
        }
        if has(rule.expression, &|leaf| leaf.source().is_some_and(asks_upper_case_header)) {
            doubt(RuleLintCode::UpperCaseHeader);
        }
    }
    lints
}

/// Whether what a field says depends on which CA signed.
fn is_of_issuer(field: Field) -> bool {
    use CertificateText as C;
    use TextField::Certificate;
    let Field::Text(text) = field else { return false };
    matches!(
        text,
        TextField::DeviceTenant
            | TextField::DeviceId
            | Certificate(
                C::IssuerDn | C::IssuerDnRfc2253 | C::IssuerDnLegacy | C::IssuerSki | C::IssuerSerial
            )
            | Certificate(C::FingerprintSha256 | C::FingerprintSha1)
    )
}

/// Whether something is true of a part of an expression.
fn has(expression: &Expression, is_it: &dyn Fn(&Expression) -> bool) -> bool {
    is_it(expression) || expression.operands().iter().any(|operand| has(operand, is_it))
}

fn is_case_sensitive_path(expression: &Expression) -> bool {
    let Expression::Text(source, TextTest::Matches(pattern)) = expression else { return false };
    let folds = |function: &Function| matches!(function, Function::Lower | Function::Upper);
    let is_folded = matches!(source, Source::Call(function, _) if folds(function));
    let is_about_letters = pattern.source().bytes().any(|b| b.is_ascii_alphabetic());
    !is_folded && is_path(source) && is_about_letters && !pattern.source().contains("(?i")
}

fn asks_upper_case_header(source: &Source) -> bool {
    let is_upper = |key: &[u8]| key.iter().any(u8::is_ascii_uppercase);
    let is_headers = |map: &Source| *map == Source::Field(Field::Map(MapField::Headers));
    let is_it = match source {
        Source::Key(map, key) => is_headers(map) && is_upper(key),
        Source::Call(Function::HasKey, arguments) => match arguments.as_slice() {
            [map, Source::Literal(Literal::Text(key))] => is_headers(map) && is_upper(key),
            _ => false,
        },
        Source::Field(_) | Source::Literal(_) | Source::Call(..) | Source::Index(..) | Source::Each(_) => {
            false
        }
    };
    is_it || source.parts().iter().any(asks_upper_case_header)
}

/// Whether `outer` is surely true whenever `inner` is.
fn implies(inner: &Expression, outer: &Expression) -> bool {
    if inner == outer || matches!(outer, Expression::Constant(true)) {
        return true;
    }
    let of = |expression: &Expression, wanted: LogicalOperator| matches!(expression, Expression::Logical(operator, _) if *operator == wanted);
    if of(inner, LogicalOperator::Or) {
        return inner.operands().iter().all(|operand| implies(operand, outer));
    }
    if of(outer, LogicalOperator::And) {
        return outer.operands().iter().all(|operand| implies(inner, operand));
    }
    (of(inner, LogicalOperator::And) && inner.operands().iter().any(|operand| implies(operand, outer)))
        || (of(outer, LogicalOperator::Or) && outer.operands().iter().any(|operand| implies(inner, operand)))
}

/// Whether an odd number of `not` stands before something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plain,
    Negated,
}

fn excludes_by_contains(expression: &Expression, sign: Sign) -> bool {
    match expression {
        Expression::Not(inner) => {
            let flipped = if sign == Sign::Plain { Sign::Negated } else { Sign::Plain };
            excludes_by_contains(inner, flipped)
        }
        Expression::Text(source, TextTest::Contains(_)) => sign == Sign::Negated && is_path(source),
        Expression::Logical(..)
        | Expression::Each(..)
        | Expression::Constant(_)
        | Expression::Text(..)
        | Expression::Flag(_)
        | Expression::Integer(..)
        | Expression::Address(..) => {
            expression.operands().iter().any(|operand| excludes_by_contains(operand, sign))
        }
    }
}

fn is_path(source: &Source) -> bool {
    source.mentions(&|field| {
        use TextField::{FullUri, Path, Uri};
        matches!(field, Field::Text(Path(_) | Uri(_) | FullUri(_)))
    })
}
