//! Rules that are kept read back whole, in their order, with each revision of the list.

use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource};
use countersign_store::{KeptRule, RuleRevisionRow, RuleUse, StoreError};

use super::fixture::{Fixture, now, read, write};

fn rule(name: &str, action: RuleAction, used: RuleUse) -> KeptRule {
    let expression = format!("http.host eq \"{name}\"");
    KeptRule { source: RuleSource { name: name.to_owned(), expression, action }, used }
}

pub(crate) fn revision(revision: u64) -> RuleRevisionRow {
    let body = Some(("nö".to_owned(), "text/plain".to_owned()));
    let rules = vec![
        rule("b", RuleAction::Block(BlockResponse { status: 451, body }), RuleUse::Enabled),
        rule("a", RuleAction::Block(BlockResponse { status: 403, body: None }), RuleUse::Disabled),
        rule("ünï", RuleAction::Log, RuleUse::Enabled),
        rule("c", RuleAction::Skip, RuleUse::Enabled),
    ];
    RuleRevisionRow { revision, rules, changed_at: now(), changed_by: "user:x".to_owned() }
}

#[tokio::test]
async fn revisions_read_back_and_old_ones_go() {
    let fixture = Fixture::new().await;
    assert_eq!(read!(fixture.store, |r| r.kept_rules()).unwrap(), None);
    let epoch = read!(fixture.store, |r| r.trust_changes_since(0)).unwrap().version.epoch;
    let done = write!(fixture.store, |w| async move {
        for number in 1..=4 {
            w.keep_rules(&revision(number), 2).await?;
        }
        Ok::<_, StoreError>(())
    });
    done.unwrap();
    assert_eq!(read!(fixture.store, |r| r.kept_rules()).unwrap(), Some(revision(4)));
    let kept = read!(fixture.store, |r| r.rule_revisions(10)).unwrap();
    assert_eq!(kept, [revision(4), revision(3), revision(2)]);
    let changes = read!(fixture.store, |r| r.trust_changes_since(epoch)).unwrap();
    assert_eq!(changes.rules, Some(revision(4).rules));
    let now_at = changes.version.epoch;
    assert_eq!(read!(fixture.store, |r| r.trust_changes_since(now_at)).unwrap().rules, None);
    assert!(write!(fixture.store, |w| w.keep_rules(&revision(4), 2)).is_err(), "there is one of this number");
}
