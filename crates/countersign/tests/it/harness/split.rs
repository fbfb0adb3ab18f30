//! A split deployment: devices come to an edge that runs elsewhere, in every test that asks for nothing else.
//! `COUNTERSIGN_TEST_DEPLOYMENT=split` asks for it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::edge::Edge;
use super::installation::Installation;

/// What is promised of one process and can not be of two, by the beginnings of the tests' names, each with the
/// reason. These run in one process in a split deployment too.
const OF_ONE_PROCESS: [(&str, &str); 12] = [
    ("a_device_lives_from_enrolment_to_renewal", MONTHS_AT_ONCE),
    ("a_renewal_does_not_interrupt_the_websocket::until_the_overlap_is_over", SEEN_BY_ITSELF),
    ("a_restored_backup_revives_nobody::an_agent_proves", ANOTHER_MACHINE),
    ("a_stopping_server_finishes_what_it_began::a_request_under_way", TOGETHER),
    ("a_stopping_server_finishes_what_it_began::a_second_signal", TOGETHER),
    ("an_edge_follows_its_authority_out_of_a_backup::what_is_older", OWN_EDGE),
    ("an_edge_outlives_its_certificates_and_its_patience::it_renews", MONTHS_AT_ONCE),
    ("an_expired_device_waits_for_approval", MONTHS_AT_ONCE),
    ("each_host_has_its_own_certificate_and_asks_as_it_says", ITS_FILES),
    ("pasted_rules_hold_at_the_door::the_api_shield_rule", NOBODY_ENROLS),
    ("services_get_certificates_from_the_running_server", COUNTED),
    ("who_may_reach_what::walk::what_has_expired", SEEN_BY_ITSELF),
];

const MONTHS_AT_ONCE: &str =
    "time leaps by more than the certificates of an edge last, which it renews in time otherwise";
const ANOTHER_MACHINE: &str = "another machine takes the place of this one, which had the edge";
const NOBODY_ENROLS: &str = "its rule lets nobody enrol, edges neither";
const COUNTED: &str =
    "counts what an installation without edges has issued, and how many have heard of a change";
const TOGETHER: &str =
    "both would end at the same moment, and an edge hands a request on only when it has its body";
const SEEN_BY_ITSELF: &str = "an edge sees by itself that a certificate is over and cuts at once, before the authority's last word is through";
const ITS_FILES: &str = "its configuration names certificates that only the machine of the server has";
const OWN_EDGE: &str = "its authority comes back with a state that no edge takes, and the tests wait for the one of a split deployment";

/// Whether this test's devices are to come to an edge that runs elsewhere.
pub(crate) fn is_wanted() -> bool {
    let wanted = std::env::var_os("COUNTERSIGN_TEST_DEPLOYMENT").is_some_and(|wanted| wanted == "split");
    let thread = std::thread::current();
    // The tests of one copy are named by it first, see `both.rs`.
    let name = thread.name().unwrap_or_default().trim_start_matches("on_sqlite::");
    let name = name.trim_start_matches("on_postgres::");
    wanted && !OF_ONE_PROCESS.iter().any(|(test, _reason)| name.starts_with(test))
}

impl Installation {
    /// What the answer to a change says when all edges have applied it: so many besides the installation's own.
    pub(crate) fn applied_by_all(&self, others: u64) -> Value {
        self.applied_but(others, 0)
    }

    /// The same when so many of them have not.
    pub(crate) fn applied_but(&self, others: u64, missing: u64) -> Value {
        let total = others + 1 + u64::from(self.edge().is_some());
        json!({ "applied": total - missing, "total": total })
    }

    /// Whether it has begun to end, and its edge.
    pub(crate) fn drains(&self) -> bool {
        let drains = |log: &str| log.contains("draining");
        drains(&self.own_log()) && self.edge().is_none_or(|edge| drains(&edge.log()))
    }

    /// Lets the edge run that belongs to an installation, by the configuration that that has now and where it
    /// is now, and waits until it is attached.
    pub(super) async fn attach_edge(edge: &mut Edge, config: &str, authority: SocketAddr) {
        edge.belong_to(authority);
        if edge.configure(config) && edge.is_running() {
            edge.terminate().await;
        }
        if edge.is_running() {
            edge.until_attached_again().await;
        } else {
            edge.start_again().await;
            edge.until_attached_again().await;
        }
    }
}

#[test]
fn what_is_said_to_be_of_one_process_is_there() {
    let folder = crate::program::repository().join("crates/countersign/tests/it");
    for (test, reason) in OF_ONE_PROCESS {
        let mut parts = test.split("::");
        let module = parts.next().unwrap();
        let inner = parts.collect::<Vec<_>>();
        let is_there = match inner[..] {
            [] => folder.join(format!("{module}.rs")).exists(),
            [beginning] => {
                let file = fs_err::read_to_string(folder.join(format!("{module}.rs")));
                file.is_ok_and(|text| text.contains(&format!("fn {beginning}")))
                    || folder.join(module).join(format!("{beginning}.rs")).exists()
            }
            [file, beginning] => {
                let text = fs_err::read_to_string(folder.join(module).join(format!("{file}.rs")));
                text.is_ok_and(|text| text.contains(&format!("fn {beginning}")))
            }
            _ => false,
        };
        assert!(is_there && !reason.is_empty(), "{test}");
    }
}
