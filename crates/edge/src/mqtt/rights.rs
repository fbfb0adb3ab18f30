//! What an identity may write and read: the layout of topics, and the verdict on each that a packet names.

use std::sync::Arc;

use countersign_core::identity::Identity;
use countersign_core::snapshot::DeviceKey;
use thiserror::Error;

use super::topics::TopicFilter;
use super::wire::{is_text, is_topic_name};

const TENANT: &str = "{tenant}";
const DEVICE: &str = "{device}";

/// A layout of topics that isolates nobody.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a layout of topics, such as tenant/{{tenant}}/device/{{device}}/ ({problem}): {text:?}")]
pub struct LayoutError {
    text: String,
    problem: &'static str,
}

/// Where the topics of devices are, and what devices may do there. Filters are relative to the device's own
/// prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    prefix: String,
    write: Arc<[TopicFilter]>,
    read: Arc<[TopicFilter]>,
}

impl Layout {
    /// Below which topics devices are by default.
    pub const PREFIX: &'static str = "tenant/{tenant}/device/{device}/";
    /// What devices may write there by default.
    pub const WRITE: [&'static str; 4] = ["telemetry", "telemetry/#", "shadow/reported", "commands/ack"];
    /// What devices may read there by default.
    pub const READ: [&'static str; 3] = ["shadow/desired", "commands", "jobs/#"];

    /// A layout with this prefix.
    ///
    /// # Errors
    /// Fails closed: a prefix that does not name tenant and device, each as a level of its own, is refused, and
    /// so is one with wildcards or among a broker's own topics.
    pub fn new(prefix: &str, write: Vec<TopicFilter>, read: Vec<TopicFilter>) -> Result<Self, LayoutError> {
        let refused = |problem| Err(LayoutError { text: prefix.chars().take(160).collect(), problem });
        let Some(levels) = prefix.strip_suffix('/') else { return refused("it ends in /") };
        let count = |name: &str| levels.split('/').filter(|level| *level == name).count();
        if count(TENANT) != 1 || count(DEVICE) != 1 {
            return refused("{tenant} and {device} are each one level");
        }
        let rest = levels.split('/').filter(|level| ![TENANT, DEVICE].contains(level));
        if rest.clone().any(|level| level.contains(['{', '}'])) {
            return refused("there are no other placeholders");
        }
        if !is_topic_name(levels) || !is_text(levels) || levels.starts_with('$') {
            return refused("it has no wildcards and does not begin with $");
        }
        Ok(Self { prefix: prefix.to_owned(), write: write.into(), read: read.into() })
    }

    /// Below which topics a device is.
    #[must_use]
    pub fn prefix_of(&self, (tenant, device): &DeviceKey) -> String {
        let filled = self.prefix.split('/').map(|level| match level {
            TENANT => tenant.as_str(),
            DEVICE => device.as_str(),
            level => level,
        });
        filled.collect::<Vec<_>>().join("/")
    }

    /// Below which topics devices are, with its placeholders.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.prefix
    }

    /// Whose topic it is, and what of it follows that device's prefix. `None`: no device's.
    #[must_use]
    pub fn owner_of<'t>(&self, topic: &'t str) -> Option<(DeviceKey, &'t str)> {
        let (mut rest, mut tenant, mut device) = (topic, None, None);
        for level in self.prefix.strip_suffix('/')?.split('/') {
            let (first, after) = rest.split_once('/')?;
            match level {
                TENANT => tenant = Some(first.parse().ok()?),
                DEVICE => device = Some(first.parse().ok()?),
                level if level == first => {}
                _ => return None,
            }
            rest = after;
        }
        Some(((tenant?, device?), rest))
    }

    /// The filter that is about every topic of every device.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}#", self.prefix.replace(TENANT, "+").replace(DEVICE, "+"))
    }

    /// What devices may write, below their own prefixes.
    #[must_use]
    pub fn write(&self) -> &[TopicFilter] {
        &self.write
    }

    /// What devices may read, below their own prefixes.
    #[must_use]
    pub fn read(&self) -> &[TopicFilter] {
        &self.read
    }

    /// What a device may.
    #[must_use]
    pub fn rights_of(&self, identity: &Identity) -> Rights {
        let prefix = self.prefix_of(&(identity.tenant().clone(), identity.device().clone()));
        Rights {
            prefix: prefix.into(),
            write: Arc::clone(&self.write),
            read: Arc::clone(&self.read),
            shared: Shared::Denied,
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        let filters = |texts: &[&str]| texts.iter().filter_map(|text| text.parse().ok()).collect();
        Self { prefix: Self::PREFIX.to_owned(), write: filters(&Self::WRITE), read: filters(&Self::READ) }
    }
}

/// Whether subscriptions may be shared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// They may.
    Allowed,
    /// They may not: a device has nobody to share its own topics with.
    Denied,
}

/// Why a topic or filter is not for this identity. Each has a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The topic is another's, or a broker's own.
    TopicOfAnother,
    /// The topic is its own, but not for this.
    TopicNotAllowed,
    /// The filter is about more than it may read.
    FilterNotAllowed,
    /// The will is on a topic that it may not write.
    WillNotAllowed,
    /// An answer would go where it may neither read nor write.
    ResponseTopicNotAllowed,
}

impl Denial {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TopicOfAnother => "TOPIC_IDENTITY_MISMATCH",
            Self::TopicNotAllowed | Self::ResponseTopicNotAllowed => "TOPIC_NOT_ALLOWED",
            Self::FilterNotAllowed => "FILTER_NOT_ALLOWED",
            Self::WillNotAllowed => "WILL_NOT_ALLOWED",
        }
    }
}

/// What one identity may write and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    prefix: Box<str>,
    write: Arc<[TopicFilter]>,
    read: Arc<[TopicFilter]>,
    shared: Shared,
}

impl Rights {
    /// What a service may: filters from the top.
    #[must_use]
    pub fn of_service(write: Vec<TopicFilter>, read: Vec<TopicFilter>, shared: Shared) -> Self {
        Self { prefix: "".into(), write: write.into(), read: read.into(), shared }
    }

    /// Whether its subscriptions may be shared.
    #[must_use]
    pub const fn shared(&self) -> Shared {
        self.shared
    }

    /// Its own part of the topics; empty for a service.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What of a topic follows the own prefix; all of it if it is another's.
    #[must_use]
    pub fn suffix<'t>(&self, topic: &'t str) -> &'t str {
        topic.strip_prefix(&*self.prefix).unwrap_or(topic)
    }

    /// Whether it may write to a topic.
    ///
    /// # Errors
    /// Fails closed: what is not granted is denied, and so is every topic of a broker's own (`$…`).
    pub fn may_write(&self, topic: &str) -> Result<(), Denial> {
        let rest = self.own(topic).ok_or(Denial::TopicOfAnother)?;
        granted(self.write.iter().any(|filter| filter.matches(rest)), Denial::TopicNotAllowed)
    }

    /// Whether a message on this topic may reach it.
    ///
    /// # Errors
    /// As [`Self::may_write`].
    pub fn may_read(&self, topic: &str) -> Result<(), Denial> {
        let rest = self.own(topic).ok_or(Denial::TopicOfAnother)?;
        granted(self.read.iter().any(|filter| filter.matches(rest)), Denial::TopicNotAllowed)
    }

    /// Whether answers to a message of its may go to this topic.
    ///
    /// # Errors
    /// As [`Self::may_write`]: whoever answers writes with rights of their own, on its behalf.
    pub fn may_be_answered_on(&self, topic: &str) -> Result<(), Denial> {
        let is_granted = self.may_read(topic).or_else(|_unreadable| self.may_write(topic)).is_ok();
        granted(is_granted, Denial::ResponseTopicNotAllowed)
    }

    /// Whether it may subscribe to a filter, or end such a subscription: every topic that the filter is about
    /// must be one it may read. So wildcards come only after the literal prefix.
    ///
    /// # Errors
    /// As [`Self::may_write`].
    pub fn may_subscribe(&self, filter: &str) -> Result<(), Denial> {
        let filter = match filter.strip_prefix("$share/") {
            None => filter,
            Some(rest) => match (self.shared, rest.split_once('/')) {
                (Shared::Allowed, Some((group, filter))) if is_topic_name(group) && !filter.is_empty() => {
                    filter
                }
                _ => return Err(Denial::FilterNotAllowed),
            },
        };
        let rest = self.own(filter).ok_or(Denial::FilterNotAllowed)?;
        granted(self.read.iter().any(|wide| wide.covers(rest)), Denial::FilterNotAllowed)
    }

    /// What follows the own prefix.
    fn own<'t>(&self, text: &'t str) -> Option<&'t str> {
        if text.starts_with('$') {
            return None;
        }
        text.strip_prefix(&*self.prefix)
    }
}

const fn granted(is_granted: bool, denial: Denial) -> Result<(), Denial> {
    if is_granted { Ok(()) } else { Err(denial) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::topics::matches;
    use proptest::prelude::*;

    fn device() -> Rights {
        let identity = Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").unwrap();
        Layout::default().rights_of(&identity)
    }

    const OWN: &str = "tenant/acme/device/d1";

    #[test]
    fn the_owner_of_a_topic_is_found_and_nobody_else() {
        let layout = Layout::default();
        let ((tenant, device), suffix) = layout.owner_of("tenant/acme/device/d1/telemetry/a").unwrap();
        assert_eq!((tenant.as_str(), device.as_str(), suffix), ("acme", "d1", "telemetry/a"));
        for topic in
            ["tenant/acme/device/d1", "tenant/acme/d1/telemetry", "tenant/A!/device/d1/x", "$SYS/x", ""]
        {
            assert_eq!(layout.owner_of(topic), None, "{topic}");
        }
        assert_eq!(layout.all(), "tenant/+/device/+/#");
    }

    #[test]
    fn a_device_writes_what_it_is_to_write() {
        for rest in ["telemetry", "telemetry/a/b", "shadow/reported", "commands/ack", "telemetry/"] {
            assert_eq!(device().may_write(&format!("{OWN}/{rest}")), Ok(()), "{rest}");
        }
        for rest in ["commands", "shadow/desired", "jobs/1", "telemetryx", "", "Telemetry"] {
            assert_eq!(device().may_write(&format!("{OWN}/{rest}")), Err(Denial::TopicNotAllowed), "{rest}");
        }
    }

    #[test]
    fn topics_of_others_are_denied() {
        for topic in [
            "tenant/acme/device/d2/telemetry",
            "tenant/other/device/d1/telemetry",
            "tenant/acme/device/d11/telemetry",
            "tenant/acme/device/d1",
            "/tenant/acme/device/d1/telemetry",
            "tenant//acme/device/d1/telemetry",
            "Tenant/acme/device/d1/telemetry",
            "\u{FEFF}tenant/acme/device/d1/telemetry",
            "tenant/acme/device/d1\u{FEFF}/telemetry",
            "$SYS/broker",
            "$CONTROL/dynamic-security/v1",
            "$share/g/tenant/acme/device/d1/telemetry",
            "telemetry",
        ] {
            assert_eq!(device().may_write(topic), Err(Denial::TopicOfAnother), "{topic}");
            assert_eq!(device().may_read(topic), Err(Denial::TopicOfAnother), "{topic}");
            assert!(device().may_be_answered_on(topic).is_err(), "{topic}");
        }
    }

    #[test]
    fn filters_have_wildcards_only_where_everything_is_readable() {
        for rest in ["commands", "shadow/desired", "jobs/#", "jobs", "jobs/+", "jobs/+/x", "jobs/1"] {
            assert_eq!(device().may_subscribe(&format!("{OWN}/{rest}")), Ok(()), "{rest}");
        }
        for filter in [
            "#",
            "+/#",
            "tenant/#",
            "tenant/+/device/+/commands",
            "tenant/acme/device/+/commands",
            "tenant/+/device/d1/commands",
            "tenant/acme/device/d1/#",
            "tenant/acme/device/d1/+",
            "tenant/acme/device/d1/telemetry/#",
            "tenant/acme/device/d2/commands",
            "$SYS/#",
            "$share/g/tenant/acme/device/d1/commands",
            "$share/g/#",
            "$share//tenant/acme/device/d1/commands",
            "$queue/tenant/acme/device/d1/commands",
            "$exclusive/tenant/acme/device/d1/commands",
        ] {
            assert_eq!(device().may_subscribe(filter), Err(Denial::FilterNotAllowed), "{filter}");
        }
    }

    #[test]
    fn a_service_has_what_it_was_granted() {
        let filter = |text: &str| vec![text.parse().unwrap()];
        let ingest = Rights::of_service(Vec::new(), filter("tenant/+/device/+/#"), Shared::Allowed);
        for filter in
            ["tenant/+/device/+/#", "tenant/acme/device/+/telemetry", "$share/g/tenant/+/device/+/#"]
        {
            assert_eq!(ingest.may_subscribe(filter), Ok(()), "{filter}");
        }
        for filter in ["#", "tenant/#", "$SYS/#", "$share/g/#", "$share/+/tenant/+/device/+/#", "$share/g/"] {
            assert!(ingest.may_subscribe(filter).is_err(), "{filter}");
        }
        assert!(ingest.may_write("tenant/acme/device/d1/telemetry").is_err());
        let all = Rights::of_service(filter("#"), filter("#"), Shared::Allowed);
        assert!(
            all.may_write("$CONTROL/x").is_err() && all.may_read("$SYS/x").is_err(),
            "never a broker's own"
        );
        assert!(all.may_subscribe("$SYS/#").is_err() && all.may_subscribe("$share/g/$SYS/#").is_err());
    }

    #[test]
    fn a_layout_isolates() {
        let layout = |prefix: &str| Layout::new(prefix, Vec::new(), Vec::new());
        for prefix in ["tenant/{tenant}/device/{device}/", "{tenant}/{device}/", "x/{device}/y/{tenant}/"] {
            assert!(layout(prefix).is_ok(), "{prefix}");
        }
        for prefix in [
            "",
            "/",
            "{tenant}/{device}",
            "tenant/{tenant}/",
            "{device}/",
            "{tenant}-{device}/",
            "{tenant}/{device}/{device}/",
            "+/{tenant}/{device}/",
            "$x/{tenant}/{device}/",
            "{tenant}/{device}/{site}/",
            "{tenant}/{device}/\n/",
        ] {
            assert!(layout(prefix).is_err(), "{prefix}");
        }
        let filters = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let same = Layout::new(Layout::PREFIX, filters(&Layout::WRITE), filters(&Layout::READ)).unwrap();
        assert_eq!(same, Layout::default());
    }

    proptest! {
        #[test]
        fn whatever_may_be_subscribed_brings_only_what_may_be_read(
            filter in "(tenant|\\+|#|\\$share/g)?/?(acme|\\+)/device/(d1|d2|\\+)/(jobs|commands|\\+|#)(/#|/\\+|/x)?",
            topic in "tenant/(acme|other)/device/(d1|d2)/(jobs|commands|telemetry)(/x|/y)?",
        ) {
            let rights = device();
            if rights.may_subscribe(&filter).is_ok() && matches(&filter, &topic) {
                prop_assert_eq!(rights.may_read(&topic), Ok(()));
            }
        }
    }
}
