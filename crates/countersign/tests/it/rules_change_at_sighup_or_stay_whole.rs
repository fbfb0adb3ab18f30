//! Proves that SIGHUP brings the rules and lists of a changed file to the doors, and that a file with a
//! fault changes nothing and every fault is said.

use rustix::process::Signal;

use crate::harness::{Installation, Time, until};
use crate::upstream::Upstream;

const LISTS: &str = "\n[[list]]\nname = \"closed\"\nkind = \"text\"\n";
const RULE: &str = "[[rule]]\nname = \"closed\"\nexpression = 'http.request.uri.path in $closed'\n";

struct Site {
    installation: Installation,
    upstream: Upstream,
}

impl Site {
    /// Writes the file anew and tells the server.
    fn reload(&self, tables: &str) {
        let text = self.upstream.routes() + tables;
        fs_err::write(self.installation.folder().join("countersign.toml"), text).unwrap();
        self.installation.signal(Signal::HUP);
    }

    async fn status(&self, path: &str) -> u16 {
        let mut connection = self.installation.connect().await;
        connection.request("GET", path, &[], "").await.unwrap().status
    }

    async fn logged(&self, text: &str) {
        until(text, async || self.installation.log().contains(text)).await;
    }
}

#[tokio::test]
async fn rules_and_lists_follow_the_file_and_a_bad_file_changes_nothing() {
    let upstream = Upstream::start().await;
    let installation = Installation::configured(&upstream.routes(), Time::Real).await;
    let site = Site { installation, upstream };
    assert_eq!(site.status("/open/a").await, 200);

    site.reload(&format!("{LISTS}items = [\"/open/a\"]\n{RULE}"));
    until("the rule holds", async || site.status("/open/a").await == 403).await;
    assert_eq!(site.status("/open/b").await, 200);

    // The list alone changes.
    site.reload(&format!("{LISTS}items = [\"/open/b\"]\n{RULE}"));
    until("the list holds", async || site.status("/open/b").await == 403).await;
    assert_eq!(site.status("/open/a").await, 200);

    // Two faults, both of which are said, and a rule that would be right.
    let bad = "[[rule]]\nname = \"x\"\nexpression = 'http.hosst eq \"a\"'\n[[rule]]\nname = \"y\"\nexpression = 'ip.src in $no'\n";
    site.reload(bad);
    site.logged("configuration not reloaded").await;
    site.logged("RULE_UNKNOWN_FIELD").await;
    site.logged("RULE_UNDEFINED_LIST").await;
    assert_eq!(site.status("/open/b").await, 403, "the old rules stay in force");

    site.reload("");
    until("no rule is left", async || site.status("/open/b").await == 200).await;
    let changes = site.installation.admin().audit("event=rules.changed").await;
    assert_eq!(changes.len(), 3, "each change is in the audit, and no other");
}
