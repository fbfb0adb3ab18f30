//! `[[list]]`: named lists, which rules ask with `in $name`.

use std::collections::BTreeSet;

use countersign_core::snapshot::{ListKind, RuleList};
use countersign_edge::rules::RuleSet;
use toml::Spanned;

use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::RawList;
use super::resolve::one_of;

/// The lists; those with a fault are reported and left out.
pub(super) fn lists(pick: &mut Picker<'_>, raw: Vec<Spanned<RawList>>) -> Vec<RuleList> {
    let mut names = BTreeSet::new();
    let mut lists = Vec::with_capacity(raw.len());
    for place in raw {
        let origin = pick.origin(&place.span());
        let Some(list) = list(pick, &origin, place.into_inner()) else { continue };
        if names.insert(list.name.clone()) {
            lists.push(list);
        } else {
            pick.refuse(&origin, "list.name", format!("{:?} is the name of another list", list.name));
        }
    }
    lists
}

fn list(pick: &mut Picker<'_>, origin: &Origin, raw: RawList) -> Option<RuleList> {
    if raw.name.is_none() {
        pick.refuse(origin, "list.name", "missing: what rules call the list");
    }
    if raw.items.is_none() {
        pick.refuse(origin, "list.items", "missing: what is in the list");
    }
    let known = [
        ("ip", ListKind::Ip),
        ("hostname", ListKind::Hostname),
        ("text", ListKind::Text),
        ("integer", ListKind::Integer),
    ];
    let kind = Layers::new("list.kind", raw.kind).only_in_file();
    let (kind, _) = pick.value(kind, ListKind::Ip, |text| one_of(&text, &known));
    let name = pick.given(Layers::new("list.name", raw.name).only_in_file());
    let items = pick.given(Layers::new("list.items", raw.items).only_in_file());
    let ((name, _), (items, at)) = name.zip(items)?;
    let list = RuleList { name, kind, items };
    let faults = RuleSet::compile(&[], std::slice::from_ref(&list)).err().unwrap_or_default();
    for error in &faults {
        pick.refuse(&at, "list.items", error.render());
    }
    faults.is_empty().then_some(list)
}

#[cfg(test)]
mod tests {
    use super::super::reading::read;

    const OFFICE: &str = "[[list]]\nname = \"office\"\nitems = [\"192.0.2.0/24\"]\n";
    const RULE: &str = "[[rule]]\nname = \"a\"\nexpression = 'not ip.src in $office'\n";

    #[test]
    fn rules_ask_lists_wherever_these_stand_in_the_file() {
        let loaded = read(&format!("{RULE}{OFFICE}")).unwrap().resolved;
        assert_eq!((loaded.lists.len(), loaded.rules.len()), (1, 1));
        let said = read(RULE).unwrap_err().to_string();
        assert!(said.contains("[RULE_UNDEFINED_LIST]") && said.contains("^^^^^^^"), "{said}");
    }

    #[test]
    fn fails_closed_on_a_list_that_cannot_be_read() {
        for (text, expected) in [
            ("name = \"office\"\nitems = [\"192.0.2.0/33\"]", "list.items: list \"office\": "),
            ("name = \"Office\"\nitems = []", "[RULE_BAD_LIST]"),
            ("items = []", "list.name: missing"),
            ("name = \"office\"", "list.items: missing"),
            ("name = \"office\"\nkind = \"asn\"\nitems = []", "list.kind: "),
            ("name = \"office\"\nitems = []\n[[list]]\nname = \"office\"\nitems = []", "another list"),
        ] {
            let said = read(&format!("[[list]]\n{text}\n")).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }
}
