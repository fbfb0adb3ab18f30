//! `[audit]`: for how long entries of the audit are kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::pick::{Layers, Picker};
use super::raw::Place;
use super::settings::{Setting, Shown};

/// `[audit]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAudit {
    pub(super) keep_days: Place<u64>,
    pub(super) keep_older_in: Place<String>,
}

/// What becomes of old entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditKept {
    /// How old they become in the database.
    pub(crate) age: Duration,
    /// Where they go then; `None`: nowhere.
    pub(crate) folder: Option<PathBuf>,
}

/// `None`: all are kept.
pub(super) fn audit(pick: &mut Picker<'_>, raw: RawAudit) -> Option<AuditKept> {
    let days = pick.optional(Layers::new("audit.keep_days", raw.keep_days), |days: u64| match days {
        0 => Err("0 days: what is happening now would be gone".to_owned()),
        days => Ok(days),
    });
    let folder = pick.placed(Layers::new("audit.keep_older_in", raw.keep_older_in));
    match (days, folder) {
        (Some((days, _)), folder) => Some(AuditKept {
            age: Duration::from_secs(days.saturating_mul(86_400)),
            folder: folder.map(|(folder, _)| folder),
        }),
        (None, Some((_, at))) => {
            pick.refuse(&at, "audit.keep_older_in", "needs audit.keep_days: without it all are kept");
            None
        }
        (None, None) => None,
    }
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "audit.keep_days",
        "",
        "730",
        Shown::Example,
        "How many days entries of the audit stay in the database. Older ones are removed, once a day, up to an\nend that an anchor vouches for; the rest is verified from there. Default: all are kept.",
    ),
    Setting::new(
        "audit.keep_older_in",
        "",
        "\"/var/lib/countersign/audit\"",
        Shown::Example,
        "Folder where they are put before they are removed, as JSON lines with the anchor beside them; it must be\nthere. Default: nowhere.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;
    use super::*;

    #[test]
    fn all_are_kept_unless_days_are_given() {
        assert_eq!(read("").unwrap().resolved.audit_kept, None);
        let kept = read("[audit]\nkeep_days = 2\n").unwrap().resolved.audit_kept;
        assert_eq!(kept, Some(AuditKept { age: Duration::from_secs(2 * 86_400), folder: None }));
        for (text, said) in [
            ("keep_days = 0", "audit.keep_days: 0 days"),
            ("keep_older_in = \"a\"", "audit.keep_older_in: needs audit.keep_days"),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&format!("[audit]\n{text}\n")) else {
                panic!("{text}")
            };
            assert!(problems.iter().any(|one| one.to_string().contains(said)), "{said}: {problems:#?}");
        }
    }
}
