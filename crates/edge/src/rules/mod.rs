//! The rule language: Cloudflare's, pasted unchanged.
//!
//! `lexer` → `parser` (with `operand`, `comparison` and `literal`) → `ast` → `program`, which is what
//! requests are evaluated with; `evaluate` works out what fields and functions give. What cannot be evaluated is refused when rules are loaded, never defaulted.
//!
//! Source: <https://developers.cloudflare.com/ruleset-engine/rules-language/>.

mod ast;
mod codec;
mod comparison;
mod error;
mod evaluate;
mod facts;
mod fields;
mod function;
mod lexer;
mod lint;
mod lists;
mod literal;
mod maps;
mod members;
mod operand;
mod parser;
mod pattern;
mod print;
mod program;
mod read;
mod reference;
mod set;
mod suggest;
#[cfg(test)]
mod tests;
mod trace;
mod unknown;
mod value;

pub use error::{RuleError, RuleErrorCode};
pub use facts::{
    CertificateState, CertificateText, PresentedCertificate, RequestFacts, Resumption, TlsFacts, Validity,
};
pub use lint::{DeviceCas, RuleLint, RuleLintCode};
pub use reference::{FieldEntry, FunctionEntry, field_entries, function_entries};
pub use set::{Outcome, RuleSet, Verdict};
pub use trace::{RuleTrace, TraceNode};
