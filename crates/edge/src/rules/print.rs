//! Expressions as text that parses to the same expression.

use std::fmt::{self, Display, Formatter, Write as _};
use std::ops::RangeInclusive;

use super::ast::{
    AddressRange, AddressTest, Comparison, Expression, IntegerTest, Literal, LogicalOperator, Source,
    TextTest,
};
use super::fields::name;
use super::pattern::Case;

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
            Self::Constant(truth) => write!(f, "{truth}"),
            Self::Flag(source) => write!(f, "{source}"),
            Self::Text(source, test) => write!(f, "{source} {test}"),
            Self::Integer(source, test) => write!(f, "{source} {test}"),
            Self::Address(source, test) => write!(f, "{source} {test}"),
            Self::Each(quantifier, inner) => write!(f, "{}({inner})", quantifier.name()),
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

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => f.write_str(name(*field)),
            Self::Literal(Literal::Text(text)) => write!(f, "{}", Quoted(text)),
            Self::Literal(Literal::Integer(number)) => write!(f, "{number}"),
            Self::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                write_between(f, arguments.iter(), ", ")?;
                f.write_char(')')
            }
            Self::Key(map, key) => write!(f, "{map}[{}]", Quoted(key)),
            Self::Index(array, at) => write!(f, "{array}[{at}]"),
            Self::Each(array) => write!(f, "{array}[*]"),
        }
    }
}

impl Display for TextTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparison, text) => write!(f, "{comparison} {}", Quoted(text)),
            Self::Contains(text) => write!(f, "contains {}", Quoted(text)),
            Self::Wildcard(wildcard) => {
                let strict = if wildcard.case() == Case::Counts { "strict " } else { "" };
                write!(f, "{strict}wildcard {}", Quoted(wildcard.source()))
            }
            Self::In(texts) => write_set(f, texts.iter().map(|text| Quoted(text))),
            Self::InList(list) => write!(f, "in ${}", list.name),
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
            Self::Compare(comparison, number) => write!(f, "{comparison} {number}"),
            Self::SharesBits(bits) => write!(f, "& {bits}"),
            Self::In(ranges) => write_set(f, ranges.iter().map(Numbers)),
            Self::InList(list) => write!(f, "in ${}", list.name),
        }
    }
}

/// A number or a range of them.
struct Numbers<'a>(&'a RangeInclusive<i64>);

impl Display for Numbers<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.0.start(), self.0.end());
        if start == end { write!(f, "{start}") } else { write!(f, "{start}..{end}") }
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
            Self::In(ranges) => write_set(f, ranges.iter()),
            Self::InList(list) => write!(f, "in ${}", list.name),
        }
    }
}

impl Display for AddressRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(f, "{network}"),
            Self::Between(first, last) => write!(f, "{first}..{last}"),
        }
    }
}

fn write_set<T: Display>(f: &mut Formatter<'_>, items: impl Iterator<Item = T>) -> fmt::Result {
    f.write_str("in {")?;
    write_between(f, items, " ")?;
    f.write_char('}')
}

fn write_between<T: Display>(
    f: &mut Formatter<'_>,
    items: impl Iterator<Item = T>,
    between: &str,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        let before = if index > 0 { between } else { "" };
        write!(f, "{before}{item}")?;
    }
    Ok(())
}

/// A string of bytes as a quoted literal.
pub(super) struct Quoted<'a>(pub(super) &'a [u8]);

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
