//! The rule language: Cloudflare's, pasted unchanged.
//!
//! `lexer` → `parser` (with `fields` and `literal`) → `ast` → `program`, which is what requests are
//! evaluated with. What cannot be evaluated is refused when rules are loaded, never defaulted.
//!
//! Source: <https://developers.cloudflare.com/ruleset-engine/rules-language/>.

mod ast;
mod error;
mod facts;
mod fields;
mod lexer;
mod lint;
mod literal;
mod parser;
mod pattern;
mod print;
mod program;
mod set;
mod suggest;
#[cfg(test)]
mod tests;

pub use error::{RuleError, RuleErrorCode};
pub use facts::{CertificateState, CertificateText, CertificateTexts, RequestFacts, Resumption};
pub use lint::{RuleLint, RuleLintCode};
pub use set::{Outcome, RuleSet, Verdict};
