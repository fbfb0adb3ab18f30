//! What stands to the left of a comparison: fields, indexes and calls of functions.

use std::ops::Range;

use super::ast::{Kind, Literal, Scalar, Source};
use super::error::{Fault, RuleErrorCode};
use super::fields;
use super::function::{self, Function, Parameter, Signature};
use super::lexer::Token;
use super::literal;
use super::parser::Parser;
use super::unknown::{self, misplaced};

/// What stands to the left of a comparison, or as an argument.
pub(super) struct Operand {
    pub(super) source: Source,
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

impl<'s> Parser<'s> {
    /// What begins with this word: a field or a call, and the indexes after it.
    pub(super) fn operand(&mut self, word: &'s str, span: &Range<usize>) -> Result<Operand, Fault> {
        let mut operand = if self.is_symbol("(") {
            self.call(word, span)?
        } else {
            let field = fields::field(word).ok_or_else(|| unknown::field(word, span))?;
            Operand { source: Source::Field(field), kind: field.kind(), span: span.clone() }
        };
        while self.is_symbol("[") {
            operand = self.index(operand)?;
        }
        Ok(operand)
    }

    fn index(&mut self, of: Operand) -> Result<Operand, Fault> {
        let open = self.expect("[")?;
        let (token, at) = self.next("an index")?;
        let inner = Box::new(of.source);
        let (source, kind) = match (token, of.kind) {
            (Token::Quoted(_) | Token::Raw(_), Kind::Map) => {
                (Source::Key(inner, literal::text(token, &at)?), Kind::Array(Scalar::Text))
            }
            (Token::Symbol("*"), Kind::Array(scalar)) => (Source::Each(inner), Kind::Spread(scalar)),
            (Token::Word(_), Kind::Array(scalar)) => {
                let number = literal::integer(token, &at)?;
                let number = usize::try_from(number).map_err(|_negative| {
                    let message = "found an index below zero";
                    Fault::new(RuleErrorCode::BadIndex, at, message)
                })?;
                (Source::Index(inner, number), Kind::One(scalar))
            }
            (_, Kind::Map) => return Err(bad_index(at, "a map, which takes a name in quotes,")),
            (_, Kind::Array(_)) => return Err(bad_index(at, "an array, which takes a number or `*`,")),
            (_, Kind::One(_)) => return Err(bad_index(open, "a single value")),
            (_, Kind::Spread(_)) => return Err(bad_index(open, "what is a single element already")),
        };
        let close = self.expect("]")?;
        Ok(Operand { source, kind, span: of.span.start..close.end })
    }

    fn call(&mut self, name: &'s str, span: &Range<usize>) -> Result<Operand, Fault> {
        let signature = function::named(name).ok_or_else(|| unknown::function(name, span))?;
        self.expect("(")?;
        self.descend(span)?;
        let mut arguments = Vec::new();
        let close = loop {
            let first_kind = arguments.first().map(|first: &Operand| first.kind);
            let Some(parameter) = signature.parameter(arguments.len()) else {
                return Err(wrong(signature, &self.place(), "fewer arguments"));
            };
            arguments.push(self.argument(signature, parameter, first_kind)?);
            match self.next("`,` or `)`")? {
                (Token::Symbol(")"), span) => break span,
                (Token::Symbol(","), span) if signature.parameter(arguments.len()).is_none() => {
                    return Err(wrong(signature, &span, "fewer arguments"));
                }
                (Token::Symbol(","), _) => {}
                (token, span) => return Err(misplaced(token, &span, "`,` or `)`")),
            }
        };
        self.ascend();
        if arguments.len() < signature.required {
            let needed = signature.parameters.get(arguments.len()).map(|parameter| parameter.text());
            let needed = format!("{} as another argument", needed.unwrap_or_default());
            return Err(wrong(signature, &close, &needed));
        }
        Ok(made(signature, arguments, span.start..close.end))
    }

    fn argument(
        &mut self,
        signature: &Signature,
        parameter: Parameter,
        first: Option<Kind>,
    ) -> Result<Operand, Fault> {
        let (token, span) = self.next("an argument")?;
        let refused = |span: &Range<usize>| wrong(signature, span, &format!("{} here", parameter.text()));
        let word = match token {
            Token::Word(word) if !is_number(word) => word,
            Token::Word(_) | Token::Quoted(_) | Token::Raw(_)
                if matches!(first, Some(Kind::Array(_))) && parameter == Parameter::Piece =>
            {
                return Err(refused(&span));
            }
            Token::Word(_) | Token::Quoted(_) | Token::Raw(_) => {
                return literal_argument(parameter, token, &span)?.ok_or_else(|| refused(&span));
            }
            Token::Symbol(_) => return Err(refused(&span)),
        };
        if matches!(word, "any" | "all" | "true" | "false" | "not") {
            return Err(refused(&span));
        }
        let operand = self.operand(word, &span)?;
        let is_first = first.is_none();
        let piece_fits = first.is_none_or(|first| matches!(first, Kind::Array(_)) == operand.is_array());
        if takes(parameter, &operand, is_first) && piece_fits {
            return Ok(operand);
        }
        Err(refused(&operand.span))
    }
}

impl Operand {
    const fn is_array(&self) -> bool {
        matches!(self.kind, Kind::Array(_))
    }
}

fn is_number(word: &str) -> bool {
    word.strip_prefix('-').unwrap_or(word).bytes().all(|b| b.is_ascii_digit())
}

/// Whether an argument that is no literal fits; `[*]` stands only in the first one.
fn takes(parameter: Parameter, operand: &Operand, is_first: bool) -> bool {
    let scalar = match operand.kind {
        Kind::One(scalar) => Some(scalar),
        Kind::Spread(scalar) if is_first => Some(scalar),
        Kind::Spread(_) => return false,
        Kind::Array(_) | Kind::Map => None,
    };
    let is_texts = operand.kind == Kind::Array(Scalar::Text);
    match parameter {
        Parameter::Text => scalar == Some(Scalar::Text),
        Parameter::TextOrArray => scalar == Some(Scalar::Text) || operand.is_array(),
        Parameter::Piece => scalar == Some(Scalar::Text) || is_texts,
        Parameter::Address => scalar == Some(Scalar::Address),
        Parameter::Printable => scalar.is_some_and(|scalar| scalar != Scalar::Text),
        Parameter::Array => is_texts,
        Parameter::Map => operand.kind == Kind::Map,
        Parameter::Collection => is_texts || operand.kind == Kind::Map,
        Parameter::TextLiteral
        | Parameter::Separator
        | Parameter::Options(_)
        | Parameter::Number(..)
        | Parameter::JsonKey => false,
    }
}

/// A literal as argument; `None`: this one does not go here.
fn literal_argument(
    parameter: Parameter,
    token: Token<'_>,
    span: &Range<usize>,
) -> Result<Option<Operand>, Fault> {
    let source = match (parameter, token) {
        (
            Parameter::TextLiteral
            | Parameter::Separator
            | Parameter::Options(_)
            | Parameter::JsonKey
            | Parameter::Piece,
            Token::Quoted(_) | Token::Raw(_),
        ) => {
            let text = literal::text(token, span)?;
            let fits = if let Parameter::Options(letters) = parameter {
                text.iter().all(|b| letters.as_bytes().contains(b))
            } else {
                parameter != Parameter::Separator || !text.is_empty()
            };
            fits.then_some(Source::Literal(Literal::Text(text)))
        }
        (Parameter::Number(from, to), Token::Word(_)) => {
            let number = literal::integer(token, span)?;
            (from..=to).contains(&number).then_some(Source::Literal(Literal::Integer(number)))
        }
        (Parameter::JsonKey, Token::Word(_)) => {
            let number = literal::integer(token, span)?;
            (number >= 0).then_some(Source::Literal(Literal::Integer(number)))
        }
        _ => None,
    };
    let operand = |source| Operand { source, kind: Kind::One(Scalar::Text), span: span.clone() };
    Ok(source.map(operand))
}

/// The call, of arguments that fit. Of the elements of an array it makes an array.
fn made(signature: &Signature, arguments: Vec<Operand>, span: Range<usize>) -> Operand {
    let first = arguments.first().map(|first| first.kind);
    let takes_array = matches!(signature.function, Function::Length | Function::Concat)
        && matches!(first, Some(Kind::Array(_)));
    let function = if takes_array { signature.function.of_arrays() } else { signature.function };
    let kind = match (first, signature.returns) {
        (Some(Kind::Spread(_)), Kind::One(scalar)) => Kind::Array(scalar),
        _ if function == Function::Chain => Kind::Array(Scalar::Text),
        (_, returns) => returns,
    };
    let arguments = arguments.into_iter().map(|argument| argument.source).collect();
    Operand { source: Source::Call(function, arguments), kind, span }
}

fn bad_index(span: Range<usize>, of: &str) -> Fault {
    Fault::new(RuleErrorCode::BadIndex, span, format!("found an index of {of}"))
}

fn wrong(signature: &Signature, span: &Range<usize>, takes: &str) -> Fault {
    let message = format!("found a wrong argument: `{}` takes {takes},", signature.name);
    Fault::new(RuleErrorCode::WrongArgument, span.clone(), message)
}
