//! Every function, with Cloudflare's own examples where there are some.

use countersign_core::ids::RequestId;
use http::HeaderMap;

use super::super::facts::RequestFacts;
use super::super::function::FUNCTIONS;
use super::{facts, headers, holds, path};

const TRUE: &[&str] = &[
    "lower(http.request.uri.path) eq \"/a/foo.html\"",
    "upper(http.request.uri.path) eq \"/A/FOO.HTML\"",
    "starts_with(http.request.uri.path, \"/A/\") and ends_with(http.request.uri.path, \".html\")",
    "len(http.host) eq 9 and len(http.request.headers[\"x-a\"]) eq 2 and len(split(http.host, \".\", 9)) eq 2",
    "concat(\"a\", http.host, r\"\\b\") eq \"aa.example\\\\b\"",
    "len(concat(http.request.headers[\"x-a\"], http.request.headers[\"x-a\"])) eq 4",
    "any(concat(http.request.headers[\"x-a\"], http.request.headers[\"x-j\"])[*] contains \"{\")",
    "any(concat(http.request.headers[\"x-a\"][*], \"!\")[*] eq \"two!\")",
    "substring(http.host, 2, 5) eq \"exa\" and substring(http.host, 2) eq \"example\"",
    "substring(http.host, -2) eq \"le\" and substring(http.host, 0, -8) eq \"a\"",
    "substring(http.host, 5, 2) eq \"\" and substring(http.host, -99, 99) eq \"a.example\"",
    "url_decode(http.request.headers[\"x-u\"][0]) eq \"John Doe %20\"",
    "url_decode(http.request.headers[\"x-u\"][0], \"r\") eq \"John Doe  \"",
    "url_decode(http.request.headers[\"x-v\"][0], \"u\") eq \"\\xe2\\x98\\x81\"",
    "any(url_decode(http.request.headers[\"x-u\"][*])[*] contains \"Doe\")",
    "cidr(ip.src, 24, 24) eq 113.10.0.0 and cidr6(ip.src, 24) eq 113.10.0.2 and cidr(ip.src, 8, 8) in {113.0.0.0/8}",
    "remove_bytes(http.host, \"\\x2ee\") eq \"axampl\"",
    "join(http.request.headers[\"x-a\"], \",\") eq \"One,two\" and join(http.request.cookies.names, \",\") eq \"\"",
    "join(lower(http.request.headers[\"x-a\"][*]), \"\") eq \"onetwo\"",
    "split(http.request.headers[\"x-c\"][0], \",\", 64)[3] eq \"auto\"",
    "split(http.request.headers[\"x-c\"][0], \",\", 3)[2] eq \"diy,auto\" and split(http.host, \"x\", 1)[0] eq \"a.example\"",
    "any(split(http.request.headers[\"x-c\"][0], \",\", 64)[*] eq \"\")",
    "to_string(cf.edge.server_port) eq \"443\" and to_string(ssl) eq \"true\" and to_string(ip.src) eq \"113.10.0.2\"",
    "any(decode_base64(http.request.headers[\"x-b\"][*])[*] eq \"123abc\")",
    "lookup_json_string(http.request.headers[\"x-j\"][0], \"network\", \"name\") eq \"n\"",
    "lookup_json_string(http.request.headers[\"x-j\"][0], \"list\", 1) eq \"b\"",
    "lookup_json_integer(http.request.headers[\"x-j\"][0], \"version\") eq 2",
    "not lookup_json_integer(http.request.headers[\"x-j\"][0], \"float\") ge 0",
    "sha256(http.request.headers[\"x-b\"][1]) eq ba:78:16:bf:8f:01:cf:ea:41:41:40:de:5d:ae:22:23:b0:03:61:a3:96:17:7a:9c:b4:10:ff:61:f2:00:15:ad",
    "has_key(http.request.headers, \"x-a\") and not has_key(http.request.headers, \"x-z\") and has_key(http.request.uri.args, \"q\")",
    "has_value(http.request.headers, \"two\") and has_value(http.request.headers[\"x-a\"], \"One\") and not has_value(http.request.uri.args, \"2\")",
    "all(len(http.request.uri.args[\"filter\"][*])[*] in {3 4})",
    "not all(not len(http.request.uri.args[\"filter\"][*])[*] in {3 4})",
    "len(http.request.uri.args[\"filter\"]) >= 0 and not len(http.request.uri.args[\"order\"]) >= 0",
    "any(starts_with(http.request.headers[\"x-a\"][*], \"t\")) and not all(starts_with(http.request.headers[\"x-a\"][*], \"t\"))",
    "any(http.request.headers[\"x-a\"][*] eq \"One\" or http.request.headers[\"x-a\"][*] eq \"no\")",
    "not any(http.request.headers[\"x-a\"][*] eq \"One\" and http.request.headers[\"x-a\"][*] eq \"two\")",
    "any(lower(upper(http.request.headers[\"x-a\"][*])[*])[*] eq \"one\")",
];

#[test]
fn functions_do_what_their_descriptions_say() {
    let target = path("/A/foo.html?q=1&filter=waf&filter=botm&filter=cdn");
    let sent = headers(&[
        ("x-a", b"One"),
        ("x-a", b"two"),
        ("x-b", b"MTIzYWJj"),
        ("x-b", b"abc"),
        ("x-c", b"groceries,,diy,auto"),
        ("x-j", br#"{"network": {"name": "n"}, "list": ["a", "b"], "version": 2, "float": 2.5}"#),
        ("x-u", b"John+Doe%20%2520"),
        ("x-v", b"%u2601"),
    ]);
    let request = RequestFacts {
        request_id: RequestId::random(),
        source: "113.10.0.2".parse().unwrap(),
        ..facts(&target, &sent)
    };
    for expression in TRUE {
        assert!(holds(expression, &request), "{expression}");
    }
    for signature in FUNCTIONS {
        let call = format!("{}(", signature.name);
        assert!(TRUE.iter().any(|expression| expression.contains(&call)), "no test calls {call}");
    }
}

#[test]
fn networks_of_ipv6_addresses_are_cut_by_their_own_bits() {
    let (target, none) = (path("/"), HeaderMap::new());
    let source = "2001:0:130f::9c0:876a:130b".parse().unwrap();
    let request = RequestFacts { source, ..facts(&target, &none) };
    assert!(holds("cidr(ip.src, 24, 24) eq 2001:: and cidr6(ip.src, 48) eq 2001:0:130f::", &request));
}
