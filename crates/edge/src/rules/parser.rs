//! From tokens to a typed expression: what combines comparisons.
//!
//! Binding, loosest first: `or`, `xor`, `and`, `not`, comparisons. What stands to the left of a
//! comparison is read in `operand`, what to its right in `comparison`.

use std::ops::Range;

use super::ast::{Expression, LogicalOperator, Quantifier, Source};
use super::comparison;
use super::error::{Fault, RuleErrorCode};
use super::lexer::{Spanned, Token, tokens};
use super::lists::Lists;
use super::unknown::misplaced;

/// How long an expression may be, in characters.
pub(super) const MAX_LENGTH: usize = 4096;
/// How deep parentheses, `not` and function calls may nest.
pub(super) const MAX_DEPTH: usize = 128;

/// Parses a whole expression.
pub(super) fn parse(source: &str, lists: &Lists) -> Result<Expression, Fault> {
    let length = source.chars().count();
    if length > MAX_LENGTH {
        let message = format!("found an expression of {length} characters, and {MAX_LENGTH} are the limit,");
        return Err(Fault::new(RuleErrorCode::TooLong, 0..0, message));
    }
    let tokens = tokens(source)?;
    if tokens.is_empty() {
        return Err(Fault::new(RuleErrorCode::Empty, 0..source.len(), "found an empty expression"));
    }
    let mut parser = Parser { tokens, lists, within: None, at: 0, depth: 0, end: source.len() };
    let expression = parser.expression(LogicalOperator::Or)?;
    match parser.peek() {
        None => Ok(expression),
        Some((token, span)) => Err(misplaced(token, &span, "`and`, `or`, `xor` or the end")),
    }
}

/// The `any()` or `all()` that is being read.
pub(super) struct Within {
    pub(super) quantifier: Quantifier,
    /// The array that its first `[*]` is of.
    pub(super) array: Option<Source>,
}

pub(super) struct Parser<'s> {
    tokens: Vec<Spanned<'s>>,
    pub(super) lists: &'s Lists,
    pub(super) within: Option<Within>,
    at: usize,
    depth: usize,
    end: usize,
}

impl<'s> Parser<'s> {
    pub(super) fn peek(&self) -> Option<Spanned<'s>> {
        self.tokens.get(self.at).cloned()
    }

    /// Where the next token stands, or the expression ends.
    pub(super) fn place(&self) -> Range<usize> {
        self.peek().map_or(self.end..self.end, |(_, span)| span)
    }

    pub(super) fn next(&mut self, expected: &str) -> Result<Spanned<'s>, Fault> {
        let next = self.peek().ok_or_else(|| {
            let message = format!("found the end of the expression where {expected} is needed");
            Fault::new(RuleErrorCode::UnexpectedEnd, self.end..self.end, message)
        })?;
        self.at += 1;
        Ok(next)
    }

    /// Steps over a token that was peeked at.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.tokens.get(self.at), Some((Token::Symbol(found), _)) if *found == symbol)
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<Range<usize>, Fault> {
        let expected = format!("`{symbol}`");
        match self.next(&expected)? {
            (Token::Symbol(found), span) if found == symbol => Ok(span),
            (token, span) => Err(misplaced(token, &span, &expected)),
        }
    }

    pub(super) fn descend(&mut self, span: &Range<usize>) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("found nesting deeper than {MAX_DEPTH}");
            return Err(Fault::new(RuleErrorCode::TooDeep, span.clone(), message));
        }
        Ok(())
    }

    pub(super) fn ascend(&mut self) {
        self.depth -= 1;
    }

    /// Operands joined by operators that bind at least as tightly as `floor`.
    fn expression(&mut self, floor: LogicalOperator) -> Result<Expression, Fault> {
        let mut left = self.unary()?;
        while let Some(operator) = self.logical_operator().filter(|operator| *operator >= floor) {
            let mut operands = vec![left];
            while self.logical_operator() == Some(operator) {
                self.at += 1;
                operands.push(self.tighter_than(operator)?);
            }
            left = Expression::Logical(operator, operands);
        }
        Ok(left)
    }

    fn tighter_than(&mut self, operator: LogicalOperator) -> Result<Expression, Fault> {
        match operator {
            LogicalOperator::Or => self.expression(LogicalOperator::Xor),
            LogicalOperator::Xor => self.expression(LogicalOperator::And),
            LogicalOperator::And => self.unary(),
        }
    }

    fn logical_operator(&self) -> Option<LogicalOperator> {
        match self.tokens.get(self.at)?.0 {
            Token::Word("or") | Token::Symbol("||") => Some(LogicalOperator::Or),
            Token::Word("xor") | Token::Symbol("^^") => Some(LogicalOperator::Xor),
            Token::Word("and") | Token::Symbol("&&") => Some(LogicalOperator::And),
            Token::Word(_) | Token::Symbol(_) | Token::Quoted(_) | Token::Raw(_) => None,
        }
    }

    fn unary(&mut self) -> Result<Expression, Fault> {
        let (token, span) = self.next("a field")?;
        match token {
            Token::Word("not") | Token::Symbol("!") => {
                self.descend(&span)?;
                let inner = self.unary()?;
                self.ascend();
                Ok(Expression::Not(Box::new(inner)))
            }
            Token::Symbol("(") => {
                self.descend(&span)?;
                let inner = self.expression(LogicalOperator::Or)?;
                self.expect(")")?;
                self.ascend();
                Ok(inner)
            }
            Token::Word("any") if self.is_symbol("(") => self.each(Quantifier::Any, &span),
            Token::Word("all") if self.is_symbol("(") => self.each(Quantifier::All, &span),
            Token::Word(word @ ("true" | "false")) => self.constant(word, &span),
            Token::Word(word) => {
                let operand = self.operand(word, &span)?;
                comparison::of(self, operand)
            }
            Token::Symbol(_) | Token::Quoted(_) | Token::Raw(_) => Err(misplaced(token, &span, "a field")),
        }
    }

    fn constant(&mut self, word: &str, span: &Range<usize>) -> Result<Expression, Fault> {
        if let Some(within) = &self.within {
            return Err(comparison::not_of_elements(within.quantifier, span));
        }
        comparison::stands_alone(self, Expression::Constant(word == "true"), word)
    }

    fn each(&mut self, quantifier: Quantifier, span: &Range<usize>) -> Result<Expression, Fault> {
        if let Some(outer) = &self.within {
            return Err(comparison::not_of_elements(outer.quantifier, span));
        }
        self.expect("(")?;
        self.descend(span)?;
        self.within = Some(Within { quantifier, array: None });
        let inner = self.expression(LogicalOperator::Or)?;
        self.within = None;
        self.ascend();
        match self.next("`)`")? {
            (Token::Symbol(")"), _) => {
                let expression = Expression::Each(quantifier, Box::new(inner));
                let shown = expression.to_string();
                comparison::stands_alone(self, expression, &shown)
            }
            (Token::Symbol(","), span) => {
                let message = format!("found a wrong argument: `{}` takes one,", quantifier.name());
                Err(Fault::new(RuleErrorCode::WrongArgument, span, message))
            }
            (token, span) => Err(misplaced(token, &span, "`)`")),
        }
    }
}
