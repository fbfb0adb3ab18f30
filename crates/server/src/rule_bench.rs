//! Trying rules: the language belongs to the doors, so whoever wires a process together says who knows it.

use std::fmt::Debug;
use std::net::IpAddr;

use countersign_core::snapshot::{RuleList, RuleSource, Standing};

/// What rules are tried on.
#[derive(Clone, Debug)]
pub struct TriedRequest {
    /// `GET /path`, and headers below it, a line each.
    pub request: String,
    /// Where it comes from.
    pub source: IpAddr,
    /// The certificates that it comes with, PEM; empty: none.
    pub chain: String,
    /// How the doors judge the certificate; `None`: by its dates.
    pub standing: Option<Standing>,
}

/// A rule worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedRule {
    /// Its name.
    pub name: String,
    /// `block`, `log` or `skip`.
    pub action: &'static str,
    /// Whether it matches.
    pub matches: bool,
    /// Its parts, each with how deep it is and its value.
    pub parts: Vec<(usize, String, String)>,
}

/// What came of trying rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The rule that blocks the request, with its status.
    pub blocked: Option<(String, u16)>,
    /// The rules that are only written down.
    pub logged: Vec<String>,
    /// Each, in order. After one that ends the evaluation a door asks no further.
    pub rules: Vec<TriedRule>,
}

/// What can be said here of rules that were written elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Those that say the same, and whether each was in use.
    pub rules: Vec<(RuleSource, bool)>,
    /// The names of the others, each with why not.
    pub left_out: Vec<(String, String)>,
}

/// Knows the rule language.
pub trait RuleBench: Debug + Send + Sync {
    /// What is wrong with these rules, each fault with its code and a caret under its place; or, where nothing is
    /// wrong, what is doubtful.
    ///
    /// # Errors
    /// The faults.
    fn check(&self, rules: &[RuleSource], lists: &[RuleList]) -> Result<Vec<String>, Vec<String>>;

    /// Works rules out that are right.
    ///
    /// # Errors
    /// What is wrong with the request, in a sentence.
    fn attempt(&self, rules: &[RuleSource], lists: &[RuleList], on: &TriedRequest) -> Result<Trial, String>;

    /// Reads Cloudflare's custom rules, in JSON.
    ///
    /// # Errors
    /// Why it is none of that, in a sentence.
    fn import(&self, json: &[u8], lists: &[RuleList]) -> Result<Imported, String>;
}
