//! `[unusual_access]`: which access by devices somebody is told of.

use std::time::Duration;

use countersign_authority::alerts::{Observed, UnusualAccess};
use serde::Deserialize;

use super::pick::{Layers, Picker};
use super::raw::Place;
use super::resolve::{number, one_of};
use super::settings::{Setting, Shown};

/// How long the window is unless told otherwise.
const WINDOW_MINUTES: u64 = 10;

/// `[unusual_access]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUnusualAccess {
    pub(super) new_networks: Place<String>,
    pub(super) two_places: Place<String>,
    pub(super) window_minutes: Place<u64>,
}

/// What is unusual.
pub(super) fn unusual_access(pick: &mut Picker<'_>, raw: RawUnusualAccess) -> UnusualAccess {
    let usual = UnusualAccess::default();
    let known = [("off", Observed::Off), ("observe", Observed::Observe)];
    let mut observed = |key, value, usual| {
        pick.value(Layers::new(key, value), usual, |text: String| one_of(&text, &known)).0
    };
    let new_networks = observed("unusual_access.new_networks", raw.new_networks, usual.new_networks);
    let two_places = observed("unusual_access.two_places", raw.two_places, Observed::Observe);
    let minutes =
        number(pick, Layers::new("unusual_access.window_minutes", raw.window_minutes), 1, WINDOW_MINUTES);
    let window = Duration::from_secs(minutes.saturating_mul(60));
    UnusualAccess { new_networks, two_places: (two_places == Observed::Observe).then_some(window) }
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "unusual_access.new_networks",
        "",
        "\"off\"",
        Shown::Default,
        "Whether somebody is told of a device in a network (IPv4 /24, IPv6 /48) that it was not in before: off,\nor observe, which raises an alert and refuses nothing.",
    ),
    Setting::new(
        "unusual_access.two_places",
        "",
        "\"observe\"",
        Shown::Default,
        "Whether somebody is told of a device that is heard of from two networks in turn, as when its key was\ncopied: off, or observe.",
    ),
    Setting::new(
        "unusual_access.window_minutes",
        "",
        "10",
        Shown::Default,
        "Within how many minutes it has to go there, back and there again.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;
    use super::*;

    #[test]
    fn two_places_are_told_of_unless_they_are_not_to_be() {
        assert_eq!(read("").unwrap().resolved.unusual_access, UnusualAccess::default());
        let text = "[unusual_access]\nnew_networks = \"observe\"\ntwo_places = \"off\"\n";
        let wanted = UnusualAccess { new_networks: Observed::Observe, two_places: None };
        assert_eq!(read(text).unwrap().resolved.unusual_access, wanted);
        let text = "[unusual_access]\ntwo_places = \"refuse\"\n";
        let Err(ConfigError::Problems(problems)) = read(text) else { panic!() };
        assert!(
            problems[0].to_string().contains("unusual_access.two_places: \"refuse\" is not one of"),
            "{problems:?}"
        );
    }
}
