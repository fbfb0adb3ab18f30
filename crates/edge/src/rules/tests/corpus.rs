//! Expressions good and bad, and what becomes of them.

use std::collections::HashSet;

use super::super::{RuleErrorCode, RuleSet};
use super::{block, lists, parse, rule};

#[test]
fn every_expression_of_the_corpus_loads_or_is_refused_as_it_says() {
    let text = include_str!("../corpus.txt");
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(lines.len() >= 150, "{} expressions", lines.len());
    let (mut seen, mut wrong, lists) = (HashSet::new(), Vec::new(), lists());
    for line in lines {
        let (expected, expression) = line.split_once(" | ").unwrap();
        let expression = expression.replace('⏎', "\n");
        match RuleSet::compile(&[rule("r", &expression, block())], &lists) {
            Ok(_) if expected == "ok" => {
                let parsed = parse(&expression).unwrap();
                assert_eq!(parse(&parsed.to_string()), Ok(parsed), "{expression}");
            }
            Ok(_) => wrong.push(format!("loads, instead of {expected}: {expression}")),
            Err(errors) => {
                let [error] = errors.as_slice() else { panic!("{errors:?}") };
                if format!("{} {}", error.code(), error.column()) != expected {
                    wrong.push(format!("{} instead of {expected}", error.render()));
                }
                assert!(error.render().contains('^'));
                seen.insert(error.code());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    use RuleErrorCode::{BadList, BadResponse, DuplicateName, TooDeep, TooLong};
    let elsewhere = [TooLong, TooDeep, DuplicateName, BadResponse, BadList];
    let missing: Vec<_> =
        RuleErrorCode::ALL.iter().filter(|code| !seen.contains(code) && !elsewhere.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn length_and_nesting_are_limited() {
    let code = |expression: &str| parse(expression).unwrap_err().code;
    let long = |n: usize| format!("http.host eq \"{}\"", "é".repeat(n - 15));
    assert!(parse(&long(4096)).is_ok());
    assert_eq!(code(&long(4097)), RuleErrorCode::TooLong);
    let deep = |n: usize| format!("{}ssl{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&deep(128)).is_ok());
    assert_eq!(code(&deep(129)), RuleErrorCode::TooDeep);
    assert!(parse(&format!("{}ssl", "!".repeat(128))).is_ok());
    assert_eq!(code(&format!("{}ssl", "!".repeat(4000))), RuleErrorCode::TooDeep);
    let calls = |n: usize| format!("{}http.host{} eq \"a\"", "lower(".repeat(n), ")".repeat(n));
    assert!(parse(&calls(128)).is_ok());
    assert_eq!(code(&calls(129)), RuleErrorCode::TooDeep);
    assert!(parse(&vec!["ssl"; 580].join(" or ")).is_ok());
}

#[test]
fn precedence_is_not_then_and_then_xor_then_or() {
    let same = |left: &str, right: &str| assert_eq!(parse(left), parse(right), "{left}");
    same("ssl or ssl xor ssl and not ssl", "ssl or (ssl xor (ssl and (not ssl)))");
    same("ssl and ssl xor ssl or ssl", "((ssl and ssl) xor ssl) or ssl");
    same("not ssl and ssl", "(not ssl) and ssl");
    same("not http.host contains \"a\" && ssl", "(not (http.host contains \"a\")) and ssl");
    same("ssl and ssl or ssl and ssl", "(ssl and ssl) or (ssl and ssl)");
}
