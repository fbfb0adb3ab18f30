//! The rules of a snapshot, compiled once and evaluated at every request.

use std::collections::HashSet;

use countersign_core::snapshot::{BlockResponse, RuleAction, RuleList, RuleSource};
use http::HeaderValue;

use super::ast::Expression;
use super::error::{Fault, RuleError, RuleErrorCode};
use super::facts::RequestFacts;
use super::fields::name;
use super::lint::{DeviceCas, Linted, RuleLint, lint};
use super::lists::Lists;
use super::parser::parse;
use super::program::Program;
use super::trace::{RuleTrace, traced};

/// Compiled rules, in order. The default has none and allows everything.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    expression: Expression,
    program: Program,
    action: RuleAction,
    /// Whether it asks about a request: it has nothing to say about a connection that has none.
    is_about_requests: bool,
}

/// What the rules say about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict<'r> {
    /// The first terminating action, or that there was none.
    pub outcome: Outcome<'r>,
    /// The `log` rules that matched before it.
    pub logged: Vec<&'r str>,
}

/// How the evaluation of the rules ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'r> {
    /// No rule blocks it, or one skips the rest.
    Allowed,
    /// A rule blocks it.
    Blocked {
        /// Its name.
        rule: &'r str,
        /// Its answer.
        response: &'r BlockResponse,
    },
}

impl RuleSet {
    /// Compiles rules and the lists that they ask.
    ///
    /// # Errors
    /// Fails closed: every fault of every list and rule (the first one of each expression), and then no
    /// rule is compiled; what cannot be evaluated is never skipped.
    pub fn compile(sources: &[RuleSource], lists: &[RuleList]) -> Result<Self, Vec<RuleError>> {
        let lists = Lists::compile(lists)?;
        let mut errors = Vec::new();
        let mut rules = Vec::with_capacity(sources.len());
        let mut names = HashSet::new();
        for source in sources {
            let mut refuse = |fault| errors.push(RuleError::new(&source.name, &source.expression, fault));
            if !names.insert(source.name.as_str()) {
                let message = "found a second rule of this name";
                refuse(Fault::new(RuleErrorCode::DuplicateName, 0..0, message));
            }
            if let Err(message) = check_action(&source.action) {
                refuse(Fault::new(RuleErrorCode::BadResponse, 0..0, message));
            }
            match parse(&source.expression, &lists) {
                Ok(expression) => rules.push(Rule {
                    name: source.name.clone(),
                    program: Program::compile(&expression),
                    is_about_requests: expression.mentions(&|field| is_of_request(name(field))),
                    expression,
                    action: source.action.clone(),
                }),
                Err(fault) => refuse(fault),
            }
        }
        if errors.is_empty() { Ok(Self { rules }) } else { Err(errors) }
    }

    /// What the rules say about a request: they are asked in order, and the first `block` or `skip`
    /// that matches ends it.
    #[must_use]
    pub fn evaluate(&self, facts: &RequestFacts<'_>) -> Verdict<'_> {
        self.ask(facts, |_rule| true)
    }

    /// What they say about a connection over which no HTTP is spoken: those that ask about a request are
    /// passed over, whatever the rest of them says.
    #[must_use]
    pub fn evaluate_connection(&self, facts: &RequestFacts<'_>) -> Verdict<'_> {
        self.ask(facts, |rule| !rule.is_about_requests)
    }

    fn ask(&self, facts: &RequestFacts<'_>, is_asked: impl Fn(&Rule) -> bool) -> Verdict<'_> {
        let mut logged = Vec::new();
        for rule in self.rules.iter().filter(|rule| is_asked(rule) && rule.program.holds(facts)) {
            match &rule.action {
                RuleAction::Block(response) => {
                    return Verdict { outcome: Outcome::Blocked { rule: &rule.name, response }, logged };
                }
                RuleAction::Log => logged.push(rule.name.as_str()),
                RuleAction::Skip => break,
            }
        }
        Verdict { outcome: Outcome::Allowed, logged }
    }

    /// The value of every part of every rule for a request, for people; in order, also of rules after
    /// the one that ends the evaluation.
    #[must_use]
    pub fn trace(&self, facts: &RequestFacts<'_>) -> Vec<RuleTrace> {
        self.rules.iter().map(|rule| traced(&rule.name, &rule.action, &rule.expression, facts)).collect()
    }

    /// Doubts about rules that did load.
    #[must_use]
    pub fn lints(&self, cas: DeviceCas) -> Vec<RuleLint> {
        let linted: Vec<Linted<'_>> = self
            .rules
            .iter()
            .map(|rule| Linted { name: &rule.name, action: &rule.action, expression: &rule.expression })
            .collect();
        lint(&linted, cas)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

fn is_of_request(field: &str) -> bool {
    ["http.", "raw."].iter().any(|start| field.starts_with(start))
}

fn check_action(action: &RuleAction) -> Result<(), String> {
    let RuleAction::Block(response) = action else { return Ok(()) };
    if !(400..=599).contains(&response.status) {
        return Err(format!("found the status {} for a block, outside 400 to 599,", response.status));
    }
    match &response.body {
        Some((_, media_type)) if HeaderValue::from_str(media_type).is_err() => {
            Err("found a media type that is no header value".to_owned())
        }
        Some(_) | None => Ok(()),
    }
}
