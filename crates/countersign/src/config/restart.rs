//! Which settings only a restart can change.

use super::resolved::{DoorCertificate, Resolved};

/// A configuration that can be put in force while `running` is, and the keys of what would need a restart:
/// there the running values stand.
pub(crate) fn settle(mut new: Resolved, running: &Resolved) -> (Resolved, Vec<&'static str>) {
    let mut kept = Vec::new();
    macro_rules! keep {
        ($($($field:ident).+ => $key:literal),+ $(,)?) => {$(
            if new.$($field).+ != running.$($field).+ {
                new.$($field).+.clone_from(&running.$($field).+);
                kept.push($key);
            }
        )+};
    }
    keep! {
        data_dir => "data_dir",
        database => "database_url",
        trust_domain => "trust_domain",
        log_format => "log_format",
        log_filter => "log_filter",
        public_names => "public_names",
        ports_file => "ports_file",
        public_base_url => "public_base_url",
        drain => "drain_seconds",
        audit_anchor_interval => "audit_anchor_interval_minutes",
        sandbox => "sandbox",
        admin.listen => "admin.listen",
        admin.allowed_hosts => "admin.allowed_hosts",
        admin.on_door => "admin.expose_admin_on_door",
        admin.session => "admin.session_hours",
        admin.console_url => "admin.console_url",
        metrics => "metrics.listen",
        traces => "traces",
        alert_to => "alert_to",
        unusual_access => "unusual_access",
        audit_kept => "audit",
        audit_to => "audit_to",
        oidc => "oidc",
        edge => "edge",
        http_door.listen => "http_door.listen",
        http_door.workers => "http_door.workers",
        http_door.limits.websocket_ping => "http_door.websocket_ping_seconds",
        mqtt_door => "mqtt_door",
        mqtt_grants => "mqtt_grant",
        mosquitto => "mosquitto",
        ingest => "ingest",
        issuer => "mtls.issuer",
        cloudflare => "mtls",
        key_encryption_key => "pki",
        token => "pki.pkcs11",
        device_ca => "the device CA",
    }
    if is_issued(&new) != is_issued(running) {
        new.http_door.certificate.clone_from(&running.http_door.certificate);
        kept.push("http_door.certificate");
    }
    kept.extend(settle_tcp_doors(&mut new, running));
    kept.extend(settle_egress(&mut new, running));
    (new, kept)
}

const fn is_issued(config: &Resolved) -> bool {
    matches!(config.http_door.certificate, DoorCertificate::Issued)
}

/// A door that stays where it is keeps its threads.
fn settle_tcp_doors(new: &mut Resolved, running: &Resolved) -> Option<&'static str> {
    let mut is_same = true;
    for door in &mut new.tcp_doors {
        let same =
            running.tcp_doors.iter().find(|other| (&other.name, other.listen) == (&door.name, door.listen));
        let Some(same) = same else { continue };
        is_same &= door.workers == same.workers;
        door.workers = same.workers;
    }
    (!is_same).then_some("tcp_door.workers")
}

fn settle_egress(new: &mut Resolved, running: &Resolved) -> Option<&'static str> {
    let is_same = new.egress.len() == running.egress.len()
        && running.egress.iter().all(|listener| {
            let same = new.egress.iter().find(|other| other.address == listener.address);
            same.is_some_and(|same| {
                (same.reach, &same.allowed_uids) == (listener.reach, &listener.allowed_uids)
            })
        });
    let wanted = std::mem::take(&mut new.egress);
    let settled = running.egress.iter().map(|listener| {
        let mut same =
            wanted.iter().find(|other| other.address == listener.address).unwrap_or(listener).clone();
        same.reach = listener.reach;
        same.allowed_uids.clone_from(&listener.allowed_uids);
        same
    });
    new.egress = settled.collect();
    (!is_same).then_some("egress.listen")
}

#[cfg(test)]
mod tests {
    use super::super::environment::{Environment, Machine};
    use super::super::file::ConfigFile;
    use super::super::flags::ConfigFlags;
    use super::super::resolve::resolve;
    use super::*;

    fn right(text: &str) -> Resolved {
        let machine =
            Machine { names: vec!["here".parse().unwrap()], processors: std::num::NonZeroUsize::MIN };
        let file = ConfigFile::from_text("/etc/cs/c.toml", text);
        resolve(ConfigFlags::default(), &Environment::default(), &machine, &file).unwrap().resolved
    }

    const DOOR: &str =
        "[[tcp_door]]\nname = \"db\"\nlisten = \"127.0.0.1:5\"\nupstream = \"tcp://127.0.0.1:6\"\n";

    #[test]
    fn addresses_and_the_database_stay_and_the_rest_changes() {
        let running = right(DOOR);
        let new = right(
            "database_url = \"sqlite:/elsewhere.db\"\n[http_door]\nlisten = \"127.0.0.1:9\"\nmax_connections = 5\n\
             [[tcp_door]]\nname = \"db\"\nlisten = \"127.0.0.1:5\"\nupstream = \"tcp://127.0.0.1:8\"\nworkers = 9\n\
             [[tcp_door]]\nname = \"more\"\nlisten = \"127.0.0.1:8\"\nupstream = \"tcp://127.0.0.1:8\"\n",
        );
        let (settled, kept) = settle(new.clone(), &running);
        assert_eq!(kept, ["database_url", "http_door.listen", "tcp_door.workers"]);
        assert_eq!(settled.http_door.limits.max_connections.get(), 5);
        assert_eq!(
            (settled.http_door.listen, &settled.database),
            (running.http_door.listen, &running.database)
        );
        let [door, more] = &settled.tcp_doors[..] else { panic!("two") };
        assert_eq!(door.workers, running.tcp_doors[0].workers);
        assert_eq!((&door.upstream, more), (&new.tcp_doors[0].upstream, &new.tcp_doors[1]));
    }

    #[test]
    fn what_has_not_changed_needs_no_restart() {
        let (settled, kept) = settle(right(DOOR), &right(DOOR));
        assert!(kept.is_empty(), "{kept:?}");
        assert_eq!(settled, right(DOOR));
    }
}
