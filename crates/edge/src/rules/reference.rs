//! The registry for the reference page, which is generated from it.

use super::ast::{Kind, Scalar};
use super::fields::REGISTRY;
use super::function::FUNCTIONS;

/// A field, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldEntry {
    /// Its name.
    pub name: &'static str,
    /// The type of its value.
    pub kind: &'static str,
    /// What it is.
    pub summary: &'static str,
}

/// A function, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionEntry {
    /// Its name.
    pub name: &'static str,
    /// What its arguments are; those in brackets may be left out.
    pub arguments: String,
    /// The type of its result.
    pub kind: &'static str,
    /// What it does.
    pub summary: &'static str,
}

/// Every field.
pub fn field_entries() -> impl Iterator<Item = FieldEntry> {
    REGISTRY.iter().map(|(name, field, summary)| FieldEntry { name, kind: kind_text(field.kind()), summary })
}

/// Every function.
pub fn function_entries() -> impl Iterator<Item = FunctionEntry> {
    let each = |name, summary| FunctionEntry {
        name,
        arguments: "what is said about `[*]`".to_owned(),
        kind: kind_text(Kind::One(Scalar::Boolean)),
        summary,
    };
    let quantifiers = [
        each("any", "Whether it is true of one element; not when there are none."),
        each("all", "Whether it is true of every element, and there is one."),
    ];
    let functions = FUNCTIONS.iter().map(|signature| {
        let mut arguments = Vec::new();
        for (at, parameter) in signature.parameters.iter().enumerate() {
            let text = parameter.text();
            arguments.push(if at < signature.required { text } else { format!("[{text}]") });
        }
        if signature.repeats > 1 {
            arguments.push("…".to_owned());
        }
        FunctionEntry {
            name: signature.name,
            arguments: arguments.join("; "),
            kind: kind_text(signature.returns),
            summary: signature.summary,
        }
    });
    quantifiers.into_iter().chain(functions)
}

const fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::One(Scalar::Boolean) | Kind::Spread(Scalar::Boolean) => "Boolean",
        Kind::One(Scalar::Integer) | Kind::Spread(Scalar::Integer) => "number",
        Kind::One(Scalar::Text) | Kind::Spread(Scalar::Text) => "string",
        Kind::One(Scalar::Address) | Kind::Spread(Scalar::Address) => "IP address",
        Kind::Array(_) => "array of strings",
        Kind::Map => "map of arrays",
    }
}
