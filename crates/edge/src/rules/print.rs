//! Expressions as text that parses to the same expression.

use std::fmt::{self, Display, Formatter, Write as _};

use super::ast::{
    AddressTest, Affix, Comparison, Expression, IntegerSource, IntegerTest, LogicalOperator, TextFunction,
    TextSource, TextTest,
};
use super::fields::{Field, name};

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logical(operator, operands) => {
                for (index, operand) in operands.iter().enumerate() {
                    if index > 0 {
                        write!(f, " {operator} ")?;
                    }
                    write_operand(f, operand)?;
                }
                Ok(())
            }
            Self::Not(inner) => {
                f.write_str("not ")?;
                write_operand(f, inner)
            }
            Self::Flag(field) => f.write_str(name(Field::Boolean(*field))),
            Self::Affix(affix, source, text) => {
                let function = match affix {
                    Affix::Start => "starts_with",
                    Affix::End => "ends_with",
                };
                write!(f, "{function}({source}, {})", Quoted(text))
            }
            Self::Text(source, test) => write!(f, "{source} {test}"),
            Self::Integer(source, test) => write!(f, "{source} {test}"),
            Self::Address(field, test) => write!(f, "{} {test}", name(Field::Address(*field))),
        }
    }
}

fn write_operand(f: &mut Formatter<'_>, operand: &Expression) -> fmt::Result {
    if matches!(operand, Expression::Logical(..)) { write!(f, "({operand})") } else { write!(f, "{operand}") }
}

impl Display for LogicalOperator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Or => "or",
            Self::Xor => "xor",
            Self::And => "and",
        })
    }
}

impl Display for TextSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => f.write_str(name(Field::Text(*field))),
            Self::Function(TextFunction::Lower, inner) => write!(f, "lower({inner})"),
            Self::Function(TextFunction::Upper, inner) => write!(f, "upper({inner})"),
        }
    }
}

impl Display for IntegerSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => f.write_str(name(Field::Integer(*field))),
            Self::Length(source) => write!(f, "len({source})"),
        }
    }
}

impl Display for TextTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(text) => write!(f, "eq {}", Quoted(text)),
            Self::NotEqual(text) => write!(f, "ne {}", Quoted(text)),
            Self::Contains(text) => write!(f, "contains {}", Quoted(text)),
            Self::Wildcard(wildcard) => write!(f, "wildcard {}", Quoted(wildcard.source())),
            Self::In(texts) => write_set(f, texts.iter().map(|text| Quoted(text))),
            Self::Matches(pattern) => {
                let source = pattern.source();
                let mut hashes = String::new();
                while source.contains(&format!("\"{hashes}")) {
                    hashes.push('#');
                }
                write!(f, "matches r{hashes}\"{source}\"{hashes}")
            }
        }
    }
}

impl Display for IntegerTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparison, value) => write!(f, "{comparison} {value}"),
            Self::In(values) => write_set(f, values.iter()),
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
        })
    }
}

impl Display for AddressTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(address) => write!(f, "eq {address}"),
            Self::NotEqual(address) => write!(f, "ne {address}"),
            Self::In(networks) => write_set(f, networks.iter()),
        }
    }
}

fn write_set<T: Display>(f: &mut Formatter<'_>, items: impl Iterator<Item = T>) -> fmt::Result {
    f.write_str("in {")?;
    for (index, item) in items.enumerate() {
        let space = if index > 0 { " " } else { "" };
        write!(f, "{space}{item}")?;
    }
    f.write_char('}')
}

/// A string of bytes as a quoted literal.
struct Quoted<'a>(&'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for byte in self.0 {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                _ => write!(f, "\\x{byte:02X}")?,
            }
        }
        f.write_char('"')
    }
}
