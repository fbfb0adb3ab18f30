//! The value of every part of a rule for one request, for people who wonder.

use std::ops::ControlFlow;

use countersign_core::snapshot::RuleAction;

use super::ast::{Expression, Source};
use super::facts::RequestFacts;
use super::fields::Field;
use super::print::Quoted;
use super::program::Program;
use super::value::{Scope, Value};

/// How many elements of an array are shown.
const MOST_ELEMENTS: usize = 32;

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    /// Its name.
    pub rule: String,
    /// `block`, `log` or `skip`.
    pub action: &'static str,
    /// Whether it matched.
    pub matched: bool,
    /// Its expression, and the parts within it.
    pub root: TraceNode,
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceNode {
    /// The part as it is printed.
    pub text: String,
    /// Its value: `true`, a literal, `[…]`, or `missing`.
    pub value: String,
    /// What it is made of.
    pub parts: Vec<Self>,
}

/// Works a rule out, part by part, by the code that doors use.
pub(super) fn traced(
    name: &str,
    action: &RuleAction,
    expression: &Expression,
    facts: &RequestFacts<'_>,
) -> RuleTrace {
    RuleTrace {
        rule: name.to_owned(),
        action: match action {
            RuleAction::Block(_) => "block",
            RuleAction::Log => "log",
            RuleAction::Skip => "skip",
        },
        matched: Program::compile(expression).holds(facts),
        root: of_expression(expression, &Scope::of(facts), None),
    }
}

/// `array`: the one whose elements it is about, within `any()` and `all()`.
fn of_expression(expression: &Expression, scope: &Scope<'_>, array: Option<&Source>) -> TraceNode {
    let program = Program::compile(expression);
    let value = match array {
        None => program.holds_at(scope).to_string(),
        Some(array) => elements(array, scope, &|scope| Some(program.holds_at(scope).to_string())),
    };
    let within = match expression {
        Expression::Each(_, inner) => inner.spread_base(),
        Expression::Logical(..)
        | Expression::Not(_)
        | Expression::Constant(_)
        | Expression::Flag(_)
        | Expression::Text(..)
        | Expression::Integer(..)
        | Expression::Address(..) => array,
    };
    let mut parts: Vec<TraceNode> =
        expression.operands().iter().map(|operand| of_expression(operand, scope, within)).collect();
    // A bare Boolean is its own source.
    let sources = match expression {
        Expression::Flag(source) => source.parts(),
        Expression::Text(source, _) | Expression::Integer(source, _) | Expression::Address(source, _) => {
            std::slice::from_ref(source)
        }
        Expression::Logical(..) | Expression::Not(_) | Expression::Constant(_) | Expression::Each(..) => &[],
    };
    parts.extend(sources.iter().filter_map(|source| of_source(source, scope)));
    TraceNode { text: expression.to_string(), value, parts }
}

/// `None` for literals and maps, which say nothing new.
fn of_source(source: &Source, scope: &Scope<'_>) -> Option<TraceNode> {
    let value = match (source, source.spread_base()) {
        (Source::Literal(_), _) => return None,
        (_, Some(array)) => elements(array, scope, &|scope| source.read(scope).map(|value| shown(&value))),
        (_, None) => match source.read(scope) {
            Some(value) => shown(&value),
            None => elements_of(source, scope)?,
        },
    };
    let parts = source.parts().iter().filter_map(|part| of_source(part, scope)).collect();
    Some(TraceNode { text: source.to_string(), value, parts })
}

/// The elements of an array; `missing`.
fn elements_of(source: &Source, scope: &Scope<'_>) -> Option<String> {
    let is_map = matches!(source, Source::Field(Field::Map(_)));
    let shows_element = |scope: &Scope<'_>| scope.element.as_ref().map(shown);
    if is_map { None } else { Some(elements(source, scope, &shows_element)) }
}

fn elements(array: &Source, scope: &Scope<'_>, value: &dyn Fn(&Scope<'_>) -> Option<String>) -> String {
    let mut found = Vec::new();
    let visited = array.each(scope, &mut |element| {
        if found.len() == MOST_ELEMENTS {
            found.push("…".to_owned());
            return ControlFlow::Break(());
        }
        found.push(value(&scope.at(element)).unwrap_or_else(|| "missing".to_owned()));
        ControlFlow::Continue(())
    });
    match visited {
        Some(()) => format!("[{}]", found.join(", ")),
        None => "missing".to_owned(),
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Boolean(truth) => truth.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Address(address) => address.to_string(),
        Value::Text(text) => {
            const MOST_BYTES: usize = 200;
            let cut = text.get(..MOST_BYTES).unwrap_or(text);
            let more = if cut.len() < text.len() { "…" } else { "" };
            format!("{}{more}", Quoted(cut))
        }
    }
}
