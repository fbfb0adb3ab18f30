//! Whom a route admits, and of those only who is as its lists say.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use countersign_core::guest::GuestOf;
use countersign_core::settings::Enforcement;
use countersign_edge::{Audience, Devices, RequiredAttribute};

use super::pick::{Layers, Outside, Picker};
use super::problem::Origin;
use super::raw::{Place, RawRoute};
use super::settings::{Setting, Shown};

/// The word for every device.
const DEVICES: &str = "devices";

/// The value of a required attribute that asks for any.
const ANY: &str = "*";

/// The keys as the file has them.
#[derive(Debug, Default)]
pub(super) struct RawAudience {
    pub(super) admit: Place<Vec<String>>,
    pub(super) allow_tenants: Place<Vec<String>>,
    pub(super) allow_devices: Place<Vec<String>>,
    pub(super) allow_sans: Place<Vec<String>>,
    pub(super) allow_names: Place<Vec<String>>,
    pub(super) require_subject: Place<BTreeMap<String, String>>,
}

/// What the keys are called in the table that they stand in.
pub(super) struct Keys {
    pub(super) admit: &'static str,
    pub(super) allow_tenants: &'static str,
    pub(super) allow_devices: &'static str,
    pub(super) allow_sans: &'static str,
    pub(super) allow_names: &'static str,
    pub(super) require_subject: &'static str,
    /// The one that says whether anybody is asked at all.
    pub(super) require_identity: &'static str,
}

const ROUTE: Keys = Keys {
    admit: "route.admit",
    allow_tenants: "route.allow_tenants",
    allow_devices: "route.allow_devices",
    allow_sans: "route.allow_sans",
    allow_names: "route.allow_names",
    require_subject: "route.require_subject",
    require_identity: "route.require_identity",
};

impl Outside for BTreeMap<String, String> {
    fn from_variable(_text: &str) -> Result<Self, String> {
        Err("a table is read from the file alone".to_owned())
    }
}

/// A kind of holder, as `admit` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    Devices,
    Guests(GuestOf),
}

impl FromStr for Holder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == DEVICES {
            return Ok(Self::Devices);
        }
        text.parse().map(Self::Guests).map_err(|_invalid| {
            let shown: String = text.chars().take(160).collect();
            format!("neither {DEVICES}, services nor trust:<name>: {shown:?}")
        })
    }
}

/// Whom a route admits; its part of `raw` is taken. `None`: every device, and nobody else.
pub(super) fn of_route(
    pick: &mut Picker<'_>,
    raw: &mut RawRoute,
    identity: Enforcement,
) -> Option<Arc<Audience>> {
    let raw = RawAudience {
        admit: raw.admit.take(),
        allow_tenants: raw.allow_tenants.take(),
        allow_devices: raw.allow_devices.take(),
        allow_sans: raw.allow_sans.take(),
        allow_names: raw.allow_names.take(),
        require_subject: raw.require_subject.take(),
    };
    audience(pick, raw, &ROUTE, identity)
}

/// Whom a place admits whose keys are called so. `None`: every device, and nobody else.
pub(super) fn audience(
    pick: &mut Picker<'_>,
    raw: RawAudience,
    keys: &Keys,
    identity: Enforcement,
) -> Option<Arc<Audience>> {
    let asked = Asked { identity, require_identity: keys.require_identity };
    let holders = asked.list::<Holder>(pick, (keys.admit, raw.admit), "every device");
    let tenants = asked.list(pick, (keys.allow_tenants, raw.allow_tenants), "any tenant");
    let device_names = asked.list(pick, (keys.allow_devices, raw.allow_devices), "any device");
    let names = asked.list(pick, (keys.allow_sans, raw.allow_sans), "any name");
    let common_names = asked.list(pick, (keys.allow_names, raw.allow_names), "any name");
    let subject = asked.subject(pick, keys.require_subject, raw.require_subject);
    let kinds = holders.as_ref().map(|(holders, _)| holders.as_slice()).unwrap_or(&[Holder::Devices]);
    let devices = if kinds.contains(&Holder::Devices) { Devices::Admitted } else { Devices::Refused };
    let about_devices = [
        (keys.allow_tenants, tenants.as_ref().map(|(_, origin)| origin)),
        (keys.allow_devices, device_names.as_ref().map(|(_, origin)| origin)),
    ];
    for (key, origin) in about_devices {
        if let (Devices::Refused, Some(origin)) = (devices, origin) {
            pick.refuse(origin, key, format!("is about devices, and {} has no {DEVICES}", keys.admit));
        }
    }
    let mut guests = Vec::new();
    for holder in kinds {
        if let Holder::Guests(of) = holder
            && !guests.contains(of)
        {
            guests.push(of.clone());
        }
    }
    let audience = Audience {
        devices,
        guests,
        tenants: entries(tenants),
        device_names: entries(device_names),
        names: entries(names),
        common_names: entries(common_names),
        subject,
    };
    (audience != Audience::default()).then(|| Arc::new(audience))
}

fn entries<T>(list: Option<(Vec<T>, Origin)>) -> Vec<T> {
    list.map(|(entries, _)| entries).unwrap_or_default()
}

/// Whether anybody is asked who he is, and which key says so.
struct Asked {
    identity: Enforcement,
    require_identity: &'static str,
}

impl Asked {
    /// A list that stands in the file. Fails closed: an empty one admits nobody, and one where nobody is
    /// asked would admit everybody.
    fn list<T: FromStr<Err: std::fmt::Display>>(
        &self,
        pick: &mut Picker<'_>,
        (key, raw): (&'static str, Place<Vec<String>>),
        any: &str,
    ) -> Option<(Vec<T>, Origin)> {
        let is_empty = raw.as_ref().is_some_and(|place| place.get_ref().is_empty());
        let (list, origin) = pick.list::<T>(Layers::new(key, raw).only_in_file())?;
        if is_empty {
            pick.refuse(&origin, key, format!("nobody could be admitted; leave it out for {any}"));
        }
        self.check(pick, key, &origin);
        Some((list, origin))
    }

    fn subject(
        &self,
        pick: &mut Picker<'_>,
        key: &'static str,
        raw: Place<BTreeMap<String, String>>,
    ) -> Vec<RequiredAttribute> {
        let Some((required, origin)) = pick.given(Layers::new(key, raw).only_in_file()) else {
            return Vec::new();
        };
        if required.is_empty() {
            pick.refuse(&origin, key, "asks for nothing; leave it out for any subject");
        }
        self.check(pick, key, &origin);
        let mut subject = Vec::with_capacity(required.len());
        for (kind, value) in required {
            if value.is_empty() {
                pick.refuse(&origin, key, format!("{kind} is empty; {ANY:?} asks for any value"));
            }
            match kind.parse() {
                Ok(kind) => {
                    subject.push(RequiredAttribute { kind, value: (value != ANY).then_some(value) });
                }
                Err(error) => pick.refuse(&origin, key, error),
            }
        }
        subject
    }

    fn check(&self, pick: &mut Picker<'_>, key: &'static str, origin: &Origin) {
        if self.identity == Enforcement::Off {
            let said = format!("keeps nobody out, because {} is false", self.require_identity);
            pick.refuse(origin, key, said);
        }
    }
}

/// These settings in words; each stands in the sample with the others of its table.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "route.admit",
        "",
        "[\"devices\"]",
        Shown::Default,
        "Whose certificates open the route: devices, services (of our service CAs) and trust:<name>\n(of a CA added with `countersign trust add`).",
    ),
    Setting::new(
        "route.allow_tenants",
        "",
        "[\"acme\"]",
        Shown::Example,
        "Of devices, only those of these tenants. Default: any.",
    ),
    Setting::new(
        "route.allow_devices",
        "",
        "[\"pump-*\"]",
        Shown::Example,
        "Of devices, only those with such names; * is any run of characters. Default: any.",
    ),
    Setting::new(
        "route.allow_sans",
        "",
        "[\"uri:spiffe://partner.example/billing\", \"dns:billing.partner.example\"]",
        Shown::Example,
        "Only certificates with one of these alternative names, compared whole. Default: any.",
    ),
    Setting::new(
        "route.allow_names",
        "",
        "[\"billing\"]",
        Shown::Example,
        "Only certificates whose only CN is one of these, to the letter. Default: any.",
    ),
    Setting::new(
        "route.require_subject",
        "",
        "{ O = \"Enterprise\", OU = \"*\" }",
        Shown::Example,
        "What the subject must have, attribute by attribute: a value to the letter, or \"*\" for any.\nDefault: nothing.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::environment::{Environment, Machine};
    use super::super::file::ConfigFile;
    use super::super::flags::ConfigFlags;
    use super::super::problem::ConfigError;
    use super::super::resolve::{Loaded, resolve};
    use super::*;

    fn read(text: &str) -> Result<Loaded, ConfigError> {
        let machine =
            Machine { names: vec!["here".parse().unwrap()], processors: std::num::NonZeroUsize::MIN };
        let text = format!("[[route]]\nupstream = \"http://127.0.0.1:9000\"\n{text}\n");
        let file = ConfigFile::from_text("/etc/cs/c.toml", &text);
        resolve(ConfigFlags::default(), &Environment::default(), &machine, &file)
    }

    fn right(text: &str) -> Option<Arc<Audience>> {
        read(text).unwrap().resolved.routes.remove(0).audience
    }

    fn wrong(text: &str) -> Vec<(String, String)> {
        let Err(ConfigError::Problems(problems)) = read(text) else { panic!("{text} was taken") };
        problems.into_iter().map(|problem| (problem.key, problem.message)).collect()
    }

    #[test]
    fn a_route_admits_every_device_and_nobody_else_unless_told_otherwise() {
        assert_eq!(right(""), None);
        assert_eq!(right("admit = [\"devices\"]"), None);
        let guests = right("admit = [\"services\", \"trust:partner\", \"services\"]").unwrap();
        assert_eq!(guests.devices, Devices::Refused);
        assert_eq!(guests.guests, ["services".parse().unwrap(), "trust:partner".parse().unwrap()]);
        let both = right("admit = [\"devices\", \"services\"]\nallow_tenants = [\"acme\"]").unwrap();
        assert_eq!((both.devices, both.tenants.len()), (Devices::Admitted, 1));
    }

    #[test]
    fn names_and_subjects_are_taken_as_they_stand() {
        let audience = right(
            "admit = [\"trust:partner\"]\nallow_names = [\"a, b\"]\n\
             allow_sans = [\"uri:spiffe://a.example/b\", \"dns:a.example\"]\n\
             require_subject = { O = \"A, Inc.\", OU = \"*\", \"2.5.4.97\" = \"x\" }",
        )
        .unwrap();
        assert_eq!(audience.common_names, ["a, b"]);
        assert_eq!(audience.names.len(), 2);
        let required: Vec<_> =
            audience.subject.iter().map(|one| (one.kind.to_string(), one.value.as_deref())).collect();
        let expected = [("2.5.4.97", Some("x")), ("O", Some("A, Inc.")), ("OU", None)];
        assert_eq!(required, expected.map(|(kind, value)| (kind.to_owned(), value)));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let problems = wrong(
            "admit = [\"service\", \"trust:\"]\nallow_tenants = []\nallow_devices = [\"a b\"]\n\
             allow_sans = [\"x\"]\nallow_names = []\nrequire_subject = { organization = \"x\", OU = \"\" }",
        );
        let keys: Vec<&str> = problems.iter().map(|(key, _)| key.as_str()).collect();
        for key in ["admit", "allow_tenants", "allow_devices", "allow_sans", "allow_names", "require_subject"]
        {
            assert!(keys.contains(&format!("route.{key}").as_str()), "{key}: {problems:?}");
        }
        assert!(problems.iter().any(|(_, said)| said.contains("organization")), "{problems:?}");
    }

    #[test]
    fn fails_closed_on_what_would_keep_nobody_out() {
        for text in [
            "admit = [\"services\"]",
            "allow_tenants = [\"acme\"]",
            "allow_names = [\"x\"]",
            "require_subject = { O = \"x\" }",
        ] {
            let problems = wrong(&format!("require_identity = false\n{text}"));
            assert!(problems[0].1.contains("keeps nobody out"), "{problems:?}");
        }
        for text in ["allow_tenants = [\"acme\"]", "allow_devices = [\"d*\"]"] {
            let problems = wrong(&format!("admit = [\"services\"]\n{text}"));
            assert!(problems[0].1.contains("is about devices"), "{problems:?}");
        }
        assert!(!wrong("admit = []").is_empty() && !wrong("require_subject = {}").is_empty());
    }
}
