//! Proves that the reference of the rule language has every field, function and lint that there is.

use std::fmt::Write as _;

use countersign_edge::rules::{RuleErrorCode, RuleLintCode, field_entries, function_entries};

use crate::program::{assert_on_file, repository};

/// The page with the lines between `<!-- name -->` and `<!-- end -->` replaced.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let start = format!("<!-- {name} -->\n");
    let (before, rest) = page.split_once(&start).unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    format!("{before}{start}{table}<!-- end -->{after}")
}

#[test]
fn every_field_function_and_lint_is_in_the_reference() {
    let path = repository().join("docs/reference/rules.md");
    let mut page = fs_err::read_to_string(&path).unwrap();
    let mut fields = "| field | type | what it is |\n|---|---|---|\n".to_owned();
    for field in field_entries() {
        writeln!(fields, "| `{}` | {} | {} |", field.name, field.kind, field.summary).unwrap();
    }
    let mut functions = "| function | arguments | gives | what it does |\n|---|---|---|---|\n".to_owned();
    for function in function_entries() {
        let (name, arguments) = (function.name, function.arguments);
        writeln!(functions, "| `{name}` | {arguments} | {} | {} |", function.kind, function.summary).unwrap();
    }
    let mut lints = "| lint | what it says |\n|---|---|\n".to_owned();
    for lint in RuleLintCode::ALL {
        writeln!(lints, "| `{}` | {} |", lint.as_str(), lint.message()).unwrap();
    }
    for (name, table) in [("fields", fields), ("functions", functions), ("lints", lints)] {
        page = with_table(&page, name, &table);
    }
    assert_on_file(&path, &page);
}

#[test]
fn every_code_of_a_refused_rule_is_in_the_reference() {
    let reference = fs_err::read_to_string(repository().join("docs/reference/error-codes.md")).unwrap();
    let codes = RuleErrorCode::ALL.iter().map(|code| code.as_str());
    for code in codes.chain(RuleLintCode::ALL.iter().map(|lint| lint.as_str())) {
        assert!(reference.contains(&format!("| `{code}` |")), "{code}");
    }
}
