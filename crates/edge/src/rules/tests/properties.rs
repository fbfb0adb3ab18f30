//! What holds of every expression.

use std::sync::Arc;

use countersign_core::snapshot::Standing;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::ast::{
    AddressRange, AddressTest, Comparison, Expression, IntegerTest, Literal, LogicalOperator, Quantifier,
    Source, TextTest,
};
use super::super::facts::{CertificateState, RequestFacts};
use super::super::fields::{AddressField, ArrayField, Field, MapField, REGISTRY, TextField};
use super::super::function::Function;
use super::super::lists::{List, Lists};
use super::super::pattern::{Case, Pattern, Wildcard};
use super::super::program::Program;
use super::super::{PresentedCertificate, RuleSet};
use super::slow::interpret;
use super::{block, certificate, device, facts, headers, lists, parse, path, rule};
use crate::headers::Scheme;

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..6),
        "(/|a|A|api|v1|\\.|acme|example|GET|\"|\\\\){0,4}".prop_map(String::into_bytes),
        select(vec![&b"a.example"[..], b"/API/v1", b"One", b"two", b"1", b"clientAuth"])
            .prop_map(<[u8]>::to_vec),
    ]
}

fn text_literal() -> impl Strategy<Value = Source> {
    any_text().prop_map(|text| Source::Literal(Literal::Text(text)))
}

fn number(number: i64) -> Source {
    Source::Literal(Literal::Integer(number))
}

/// Fields that satisfy `is_it`, each by the name that is printed.
fn fields(is_it: fn(&Field) -> bool) -> impl Strategy<Value = Source> {
    let found: Vec<_> = REGISTRY.iter().map(|(_, field, _)| *field).filter(is_it).collect();
    select(found).prop_map(Source::Field)
}

/// Arrays that are not made of each element of another.
fn any_array() -> impl Strategy<Value = Source> {
    let keys = select(vec![&b"x-a"[..], b"x-b", b"q", b"a", b"X-A"]).prop_map(<[u8]>::to_vec);
    let keyed = (fields(|field| matches!(field, Field::Map(_))), keys)
        .prop_map(|(map, key)| Source::Key(Box::new(map), key));
    let plain = prop_oneof![2 => fields(|field| matches!(field, Field::Array(_))), 3 => keyed];
    let separators = select(vec![&b"/"[..], b"e", b"xx", b"."])
        .prop_map(|text| Source::Literal(Literal::Text(text.to_vec())));
    plain.prop_recursive(1, 3, 2, move |plain| {
        let parts =
            (any_scalar_field(), separators.clone(), 1..5_i64).prop_map(|(text, separator, limit)| {
                Source::Call(Function::Split, vec![text, separator, number(limit)])
            });
        let chain = proptest::collection::vec(plain.clone(), 1..3)
            .prop_map(|arrays| Source::Call(Function::Chain, arrays));
        prop_oneof![plain, parts, chain]
    })
}

/// String fields. The id of a request is another one in every case.
fn any_scalar_field() -> impl Strategy<Value = Source> {
    fields(|field| matches!(field, Field::Text(text) if *text != TextField::RequestId))
}

/// Functions of strings that give strings, around what `inner` gives.
fn wrapped(inner: impl Strategy<Value = Source> + Clone + 'static) -> impl Strategy<Value = Source> {
    let plain = (select(vec![Function::Lower, Function::Upper]), inner.clone())
        .prop_map(|(function, text)| Source::Call(function, vec![text]));
    let cut = (inner.clone(), -6..6_i64, proptest::option::of(-6..6_i64)).prop_map(|(text, start, end)| {
        let ends = [Some(start), end].into_iter().flatten().map(number);
        Source::Call(Function::Substring, std::iter::once(text).chain(ends).collect())
    });
    let removed = (inner.clone(), text_literal())
        .prop_map(|(text, bytes)| Source::Call(Function::RemoveBytes, vec![text, bytes]));
    let both =
        (inner, text_literal()).prop_map(|(text, other)| Source::Call(Function::Concat, vec![text, other]));
    prop_oneof![plain, cut, removed, both]
}

/// Single strings.
fn any_source() -> impl Strategy<Value = Source> {
    let indexed = (any_array(), 0..3_usize).prop_map(|(array, at)| Source::Index(Box::new(array), at));
    let joined = (any_array(), text_literal())
        .prop_map(|(array, between)| Source::Call(Function::Join, vec![array, between]));
    let joined_lower = (any_array(), text_literal()).prop_map(|(array, between)| {
        let lower = Source::Call(Function::Lower, vec![Source::Each(Box::new(array))]);
        Source::Call(Function::Join, vec![lower, between])
    });
    let shown = fields(|field| matches!(field, Field::Boolean(_) | Field::Integer(_) | Field::Address(_)))
        .prop_map(|source| Source::Call(Function::ToString, vec![source]));
    prop_oneof![4 => any_scalar_field(), 1 => indexed, 1 => joined, 1 => joined_lower, 1 => shown]
        .prop_recursive(3, 4, 1, wrapped)
}

/// The elements of an array, as they are or changed.
fn elements_of(array: Source) -> BoxedStrategy<Source> {
    let each = Source::Each(Box::new(array));
    prop_oneof![Just(each.clone()), wrapped(Just(each)).prop_map(|changed| Source::Each(Box::new(changed)))]
        .boxed()
}

fn any_text_test() -> impl Strategy<Value = TextTest> {
    let wildcards = ("(/|a|A|\\*|\\\\\\*|\\\\\\\\|x|api){0,6}", select(vec![Case::Ignored, Case::Counts]));
    prop_oneof![
        (any_comparison(), any_text()).prop_map(|(comparison, text)| TextTest::Compare(comparison, text)),
        any_text().prop_map(TextTest::Contains),
        wildcards
            .prop_filter_map("wildcard", |(text, case)| Wildcard::new(text.as_bytes(), case).ok())
            .prop_map(TextTest::Wildcard),
        "(\\^|\\$|/|a|\\[a-z\\]|\\+|\\.|\"|#|\\\\d|api){0,6}"
            .prop_filter_map("regex", |text| Pattern::new(&text).ok())
            .prop_map(TextTest::Matches),
        proptest::collection::vec(any_text(), 1..4).prop_map(TextTest::In),
        select(vec!["hosts", "names"]).prop_map(|name| TextTest::InList(list(name))),
    ]
}

fn list(name: &str) -> Arc<List> {
    Arc::clone(Lists::compile(&lists()).unwrap().named(name).unwrap())
}

fn any_comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

fn any_integer_test() -> impl Strategy<Value = IntegerTest> {
    let integer = || prop_oneof![Just(443_i64), 0..12_i64, any::<i64>()];
    let range = (integer(), integer()).prop_map(|(a, b)| a.min(b)..=a.max(b));
    prop_oneof![
        (any_comparison(), integer()).prop_map(|(c, value)| IntegerTest::Compare(c, value)),
        integer().prop_map(IntegerTest::SharesBits),
        proptest::collection::vec(prop_oneof![range, integer().prop_map(|n| n..=n)], 1..3)
            .prop_map(IntegerTest::In),
        Just(IntegerTest::InList(list("ports"))),
    ]
}

fn any_address_test() -> impl Strategy<Value = AddressTest> {
    let addresses = ["192.0.2.7", "192.0.2.8", "::1", "2001:db8::1"].map(|text| text.parse().unwrap());
    let networks = ["192.0.2.0/24", "10.0.0.0/8", "::/0", "::1/128"]
        .map(|text| AddressRange::Network(text.parse().unwrap()));
    let range =
        |first: &str, last: &str| AddressRange::Between(first.parse().unwrap(), last.parse().unwrap());
    let ranges: Vec<_> = networks
        .into_iter()
        .chain([range("192.0.2.7", "192.0.2.7"), range("10.0.0.1", "192.0.2.6"), range("::1", "::9")])
        .collect();
    let address = select(addresses.to_vec());
    prop_oneof![
        address.clone().prop_map(AddressTest::Equal),
        address.prop_map(AddressTest::NotEqual),
        proptest::sample::subsequence(ranges, 1..4).prop_map(AddressTest::In),
        Just(AddressTest::InList(list("office"))),
    ]
}

fn affix(source: Source, function: Function, text: Source) -> Expression {
    Expression::Flag(Source::Call(function, vec![source, text]))
}

/// What is said about the elements of one array.
fn any_of_elements() -> impl Strategy<Value = Expression> {
    let about = |array: Source| {
        let leaf = prop_oneof![
            (elements_of(array.clone()), any_text_test())
                .prop_map(|(source, test)| Expression::Text(source, test)),
            (elements_of(array.clone()), any_integer_test()).prop_map(|(source, test)| {
                let lengths = Source::Call(Function::Length, vec![source]);
                Expression::Integer(Source::Each(Box::new(lengths)), test)
            }),
            (elements_of(array), text_literal()).prop_map(|(source, text)| affix(
                source,
                Function::StartsWith,
                text
            )),
        ];
        leaf.prop_recursive(2, 4, 2, combined)
    };
    (select(vec![Quantifier::Any, Quantifier::All]), any_array().prop_flat_map(about))
        .prop_map(|(quantifier, inner)| Expression::Each(quantifier, Box::new(inner)))
}

fn any_leaf() -> impl Strategy<Value = Expression> {
    let affixes = (any_source(), select(vec![Function::StartsWith, Function::EndsWith]), text_literal());
    let counted = any_array().prop_map(|array| Source::Call(Function::Count, vec![array]));
    let has_key = (select(vec![MapField::Headers, MapField::Cookies, MapField::Arguments]), text_literal())
        .prop_map(|(map, key)| Source::Call(Function::HasKey, vec![Source::Field(Field::Map(map)), key]));
    let has_value = (any_array(), text_literal())
        .prop_map(|(array, text)| Source::Call(Function::HasValue, vec![array, text]));
    let lengths = any_source().prop_map(|source| Source::Call(Function::Length, vec![source]));
    let integers = fields(|field| matches!(field, Field::Integer(_)));
    prop_oneof![
        1 => any::<bool>().prop_map(Expression::Constant),
        2 => fields(|field| matches!(field, Field::Boolean(_))).prop_map(Expression::Flag),
        1 => affixes.prop_map(|(source, function, text)| affix(source, function, text)),
        1 => prop_oneof![has_key, has_value].prop_map(Expression::Flag),
        4 => (any_source(), any_text_test()).prop_map(|(source, test)| Expression::Text(source, test)),
        2 => (prop_oneof![integers, lengths, counted], any_integer_test())
            .prop_map(|(source, test)| Expression::Integer(source, test)),
        1 => any_address_test()
            .prop_map(|test| Expression::Address(Source::Field(Field::Address(AddressField::Source)), test)),
        2 => any_of_elements(),
    ]
}

fn combined(inner: BoxedStrategy<Expression>) -> impl Strategy<Value = Expression> {
    use LogicalOperator::{And, Or, Xor};
    prop_oneof![
        inner.clone().prop_map(|inner| Expression::Not(Box::new(inner))),
        (select(vec![And, Or, Xor]), proptest::collection::vec(inner, 2..4))
            .prop_map(|(operator, operands)| Expression::Logical(operator, operands)),
    ]
}

fn any_expression() -> impl Strategy<Value = Expression> {
    any_leaf().prop_recursive(4, 16, 3, combined)
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same_expression(expression in any_expression()) {
        let printed = expression.to_string();
        prop_assume!(printed.chars().count() <= 4096);
        prop_assert_eq!(parse(&printed), Ok(expression), "{}", printed);
    }

    #[test]
    fn the_compiled_form_agrees_with_the_slow_interpreter(
        expression in any_expression(),
        has_host: bool,
        flags: [bool; 4],
        has_certificate: bool,
    ) {
        let (target, identity) = (path("/API/v1?q=1&a=two&q=One"), device());
        let sent = headers(&[("x-a", b"One"), ("x-b", b"two"), ("x-a", b"api"), ("cookie", b"a=1; q=two")]);
        let shown = certificate(vec![Arc::from([1, 2, 3])]);
        let [presented, verified, revoked, tls] = flags;
        let request = RequestFacts {
            host: has_host.then_some("a.example"),
            scheme: if tls { Scheme::Https } else { Scheme::Http },
            certificate: CertificateState { presented, verified, revoked },
            presented: has_certificate.then_some(&shown as &dyn PresentedCertificate),
            device: has_certificate.then_some(&identity),
            standing: has_certificate.then_some(Standing::Valid),
            ..facts(&target, &sent)
        };
        prop_assert_eq!(Program::compile(&expression).holds(&request), interpret(&expression, &request));
    }

    #[test]
    fn any_text_parses_or_is_refused_at_a_place_within_it(text in "\\PC{0,80}") {
        if let Err(errors) = RuleSet::compile(&[rule("r", &text, block())], &[]) {
            for error in errors {
                prop_assert!(error.offset() <= text.len() && text.is_char_boundary(error.offset()));
                prop_assert!(error.render().contains('^'));
            }
        }
    }

    #[test]
    fn any_sequence_of_tokens_parses_or_is_refused(
        words in proptest::collection::vec(select(vec![
            "(", ")", "{", "}", ",", "not", "!", "and", "or", "xor", "eq", "in", "matches", "~", "lower(", "len(",
            "starts_with(", "ssl", "http.host", "ip.src", "cf.edge.server_port", "\"a\"", "r\"b\"", "1", "10.0.0.0/8",
            "::1", "[", "[*]", "[0]", "]", "$ports", "&", "AND", "strict", "wildcard", "\"", "'", "\n", "é", "any(",
            "all(", "http.request.headers", "http.request.headers.names", "http.request.headers[\"a\"][*]", "true",
            "concat(", "split(", "1..5", "61:62",
        ]), 0..30)
    ) {
        let text = words.join(" ");
        if let Ok(expression) = parse(&text) {
            prop_assert_eq!(parse(&expression.to_string()), Ok(expression));
        }
    }
}

#[test]
fn names_of_headers_are_read_once_each() {
    let target = path("/");
    let sent = headers(&[("x-a", b"1"), ("x-a", b"2")]);
    let names = Source::Field(Field::Array(ArrayField::Names(MapField::Headers)));
    let count = Expression::Integer(
        Source::Call(Function::Count, vec![names]),
        IntegerTest::Compare(Comparison::Equal, 1),
    );
    assert!(interpret(&count, &facts(&target, &sent)));
}
