//! From what a plan says to what it means, with everything that is wrong at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use countersign_authority::plan::{
    DistinguishedName, IssuerRole, KeyAlgorithm, Plan, PlannedCa, PlannedCertificate, Profile, Purpose,
    ServerPurposes, ServiceNames,
};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::ids::CaName;
use toml::Spanned;

use super::raw::{Place, RawCa, RawCertificate, RawPlan};
use crate::config::{ConfigError, ConfigFile, Origin, Problem};

const DAY: u64 = 86_400;

/// The longest life that is planned, in days: a hundred years.
const LIFE_LIMIT: u32 = 36_500;

/// Reads a plan.
///
/// # Errors
/// Fails closed: one wrong, unknown or missing value refuses the whole; all of them are reported.
pub(crate) fn read(path: &Path) -> Result<Plan, ConfigError> {
    resolve(&ConfigFile::read(path)?)
}

fn resolve(file: &ConfigFile) -> Result<Plan, ConfigError> {
    let mut problems = Vec::new();
    let raw: RawPlan = file.parse(&mut problems);
    let mut reader = Reader { file, problems, known: BTreeMap::new() };
    let cas = raw.ca.into_iter().filter_map(|place| reader.ca(place)).collect();
    let mut labels = BTreeSet::new();
    let mut certificates = Vec::new();
    for place in raw.certificate {
        let origin = file.origin(&place.span());
        let Some(planned) = reader.certificate(place) else { continue };
        if !labels.insert(planned.label.clone()) {
            let message = format!("{} is the name of another certificate", planned.label);
            reader.refuse(&origin, "certificate.name", message);
        }
        certificates.push(planned);
    }
    if reader.problems.is_empty() {
        Ok(Plan { cas, certificates })
    } else {
        Err(ConfigError::Problems(reader.problems))
    }
}

/// Reads values one by one; a wrong one is written down.
struct Reader<'a> {
    file: &'a ConfigFile,
    problems: Vec<Problem>,
    /// The CAs so far.
    known: BTreeMap<CaName, KnownCa>,
}

/// What is known of a CA further up.
#[derive(Clone, Copy)]
struct KnownCa {
    role: IssuerRole,
    /// How many CAs may follow below it; `None`: as many as one likes.
    below: Option<u8>,
}

impl Reader<'_> {
    fn refuse(&mut self, origin: &Origin, key: &str, message: impl fmt::Display) {
        let (origin, key, message) = (origin.clone(), key.to_owned(), message.to_string());
        self.problems.push(Problem { origin, key, message });
    }

    fn understood<R, T, E: fmt::Display>(
        &mut self,
        key: &str,
        place: Place<R>,
        understand: impl FnOnce(R) -> Result<T, E>,
    ) -> Option<T> {
        let place = place?;
        let origin = self.file.origin(&place.span());
        match understand(place.into_inner()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.refuse(&origin, key, message);
                None
            }
        }
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, key: &str, place: Place<String>) -> Option<T> {
        self.understood(key, place, |text| text.parse::<T>())
    }

    /// A value that must be there, of the entry at `origin`.
    fn needed<T: FromStr<Err: fmt::Display>>(
        &mut self,
        (origin, key): (&Origin, &str),
        place: Place<String>,
        what: &str,
    ) -> Option<T> {
        if place.is_none() {
            self.refuse(origin, key, format!("missing: {what}"));
        }
        self.parsed(key, place)
    }

    fn list<T: FromStr<Err: fmt::Display>>(&mut self, key: &str, place: Place<Vec<String>>) -> Vec<T> {
        let read = |texts: Vec<String>| {
            texts
                .iter()
                .map(|text| text.parse::<T>().map_err(|error| format!("{text:?}: {error}")))
                .collect::<Result<Vec<_>, _>>()
        };
        self.understood(key, place, read).unwrap_or_default()
    }

    fn life(&mut self, key: &str, place: Place<u32>, default: u32) -> Duration {
        let days = self.understood(key, place, |days| {
            if (1..=LIFE_LIMIT).contains(&days) {
                Ok(days)
            } else {
                Err(format!("{days} is not between 1 and {LIFE_LIMIT} days"))
            }
        });
        Duration::from_secs(u64::from(days.unwrap_or(default)) * DAY)
    }

    fn ca(&mut self, place: Spanned<RawCa>) -> Option<PlannedCa> {
        let origin = self.file.origin(&place.span());
        let raw = place.into_inner();
        let is_limited = raw.purposes.is_some() || raw.path_length.is_some();
        let name = self.needed::<CaName>((&origin, "ca.name"), raw.name, "what commands call the CA");
        let subject: Option<DistinguishedName> =
            self.needed((&origin, "ca.subject"), raw.subject, "its name, as in \"CN=Example CA,O=Example\"");
        let has_parent = raw.parent.is_some();
        let parent = self.parsed::<CaName>("ca.parent", raw.parent);
        let usual = if has_parent { IssuerRole::Intermediate } else { IssuerRole::Root };
        let role = self.understood("ca.role", raw.role, |text| role_of(&text)).unwrap_or(usual);
        if has_parent == (role == IssuerRole::Root) {
            let message =
                if has_parent { "a root has no parent" } else { "missing: only a root has no parent" };
            self.refuse(&origin, "ca.parent", message);
        }
        let room = self.room_below(&origin, parent.as_ref());
        if is_limited && role != IssuerRole::Intermediate {
            self.refuse(&origin, "ca.role", format!("purposes and path length of a {role} CA are fixed"));
        }
        let algorithm = self.parsed("ca.key_algorithm", raw.key_algorithm).unwrap_or_default();
        let default = if role == IssuerRole::Root { 3650 } else { 1825 };
        let lifetime = self.life("ca.lifetime_days", raw.lifetime_days, default);
        let purposes = self.purposes("ca.purposes", raw.purposes);
        let path_length = self.understood("ca.path_length", raw.path_length, |length| within(length, room));
        let environment = self.parsed("ca.environment", raw.environment);
        let name = name?;
        if self.known.insert(name.clone(), KnownCa { role, below: path_length.or(room) }).is_some() {
            self.refuse(&origin, "ca.name", format!("{name} is the name of another CA"));
        }
        let subject = subject?;
        Some(PlannedCa {
            name,
            role,
            parent,
            subject,
            algorithm,
            lifetime,
            purposes,
            path_length,
            environment,
        })
    }

    /// How many CAs may follow below one with this parent, if its parent limits it. One that is not in the
    /// plan exists already, and says so itself when it signs.
    fn room_below(&mut self, origin: &Origin, parent: Option<&CaName>) -> Option<u8> {
        let name = parent?;
        let KnownCa { role, below } = *self.known.get(name)?;
        if let IssuerRole::Device | IssuerRole::Service = role {
            self.refuse(origin, "ca.parent", "device and service CAs sign no CAs");
            return None;
        }
        let below = below?;
        if below == 0 {
            self.refuse(origin, "ca.parent", format!("the CA {name} signs no CAs: its path length is 0"));
        }
        Some(below.saturating_sub(1))
    }

    fn purposes(&mut self, key: &str, place: Place<Vec<String>>) -> BTreeSet<Purpose> {
        let read = |texts: Vec<String>| texts.iter().map(|text| purpose_of(text)).collect::<Result<_, _>>();
        self.understood(key, place, read).unwrap_or_default()
    }

    fn certificate(&mut self, place: Spanned<RawCertificate>) -> Option<PlannedCertificate> {
        let origin = self.file.origin(&place.span());
        let raw = place.into_inner();
        let label = self.needed((&origin, "certificate.name"), raw.name, "what its files are called");
        let ca = self.needed::<CaName>((&origin, "certificate.ca"), raw.ca, "the CA that signs it");
        let role = ca.as_ref().and_then(|ca| self.known.get(ca)).map(|ca| ca.role);
        if let Some(role @ (IssuerRole::Root | IssuerRole::Device)) = role {
            self.refuse(&origin, "certificate.ca", format!("a {role} CA signs no services"));
        }
        let alternatives = AlternativeNames {
            uris: self.list("certificate.uri", raw.uri),
            dns: self.list("certificate.dns", raw.dns),
            ips: self.list("certificate.ip", raw.ip),
        };
        let is_reached = !alternatives.dns.is_empty() || !alternatives.ips.is_empty();
        if alternatives.is_empty() {
            self.refuse(&origin, "certificate.dns", "missing: at least one of dns, ip and uri");
        }
        let names = ServiceNames { subject: self.parsed("certificate.subject", raw.subject), alternatives };
        let purposes = self.purposes("certificate.purposes", raw.purposes);
        let word: Option<String> =
            self.needed((&origin, "certificate.profile"), raw.profile, "service-server or service-client");
        let profile = word.and_then(|word| match profile_of(&word, names, &purposes) {
            Ok(Profile::ServiceServer { .. }) if !is_reached => {
                self.refuse(&origin, "certificate.dns", "missing: a server has at least one of dns and ip");
                None
            }
            Ok(profile) => Some(profile),
            Err(message) => {
                self.refuse(&origin, "certificate.profile", message);
                None
            }
        });
        let algorithm = self.parsed("certificate.key_algorithm", raw.key_algorithm).unwrap_or_default();
        self.understood("certificate.key_usages", raw.key_usages, |usages| check_usages(&usages, algorithm));
        let lifetime = self.life("certificate.lifetime_days", raw.lifetime_days, 365);
        Some(PlannedCertificate { label: label?, ca: ca?, profile: profile?, algorithm, lifetime })
    }
}

fn role_of(text: &str) -> Result<IssuerRole, String> {
    text.parse().map_err(|_unknown| format!("{text:?} is none of root, device, service and intermediate"))
}

/// A path length that the CA above allows.
fn within(length: u8, room: Option<u8>) -> Result<u8, String> {
    match room {
        Some(room) if length > room => {
            Err(format!("{length} is too long: the CA above allows 0 to {room} CAs below this one"))
        }
        _ => Ok(length),
    }
}

fn purpose_of(text: &str) -> Result<Purpose, String> {
    match text {
        "serverAuth" => Ok(Purpose::ServerAuth),
        "clientAuth" => Ok(Purpose::ClientAuth),
        _ => Err(format!("{text:?} is neither serverAuth nor clientAuth")),
    }
}

fn profile_of(
    word: &str,
    names: ServiceNames,
    purposes: &BTreeSet<Purpose>,
) -> Result<Profile, &'static str> {
    let has = |purpose| purposes.contains(&purpose);
    match word {
        "service-client" if has(Purpose::ServerAuth) => {
            Err("a service-client is for clientAuth alone; a service-server may be for both")
        }
        "service-client" => Ok(Profile::ServiceClient { names }),
        "service-server" if !purposes.is_empty() && !has(Purpose::ServerAuth) => {
            Err("a service-server is for serverAuth, and for clientAuth if asked")
        }
        "service-server" if has(Purpose::ClientAuth) => {
            Ok(Profile::ServiceServer { names, purposes: ServerPurposes::ServerAndClient })
        }
        "service-server" => Ok(Profile::ServiceServer { names, purposes: ServerPurposes::Server }),
        _ => Err("neither service-server nor service-client"),
    }
}

/// What the profiles write is fixed by the key; a plan may say so, and must not say otherwise.
fn check_usages(usages: &[String], algorithm: KeyAlgorithm) -> Result<(), String> {
    let written: &[&str] = match algorithm {
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            &["digitalSignature", "keyEncipherment"]
        }
        KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::Ed25519 => &["digitalSignature"],
    };
    let asked: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    if asked == written.iter().copied().collect() {
        Ok(())
    } else {
        Err(format!("a key of {algorithm} has {}", written.join(" and ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> Vec<String> {
        match resolve(&ConfigFile::from_text("p.toml", text)) {
            Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_small_plan_has_sensible_defaults() {
        let text = "[[ca]]\nname = \"ca\"\nsubject = \"CN=Root\"\n\n[[ca]]\nname = \"web\"\nparent = \"ca\"\n\
                    subject = \"CN=Web\"\n\n[[certificate]]\nname = \"site\"\nca = \"web\"\n\
                    profile = \"service-server\"\ndns = [\"site.example.com\"]\n";
        let plan = resolve(&ConfigFile::from_text("p.toml", text)).unwrap();
        let roles: Vec<_> = plan.cas.iter().map(|ca| (ca.role, ca.lifetime.as_secs() / DAY)).collect();
        assert_eq!(roles, [(IssuerRole::Root, 3650), (IssuerRole::Intermediate, 1825)]);
        let [site] = plan.certificates.try_into().unwrap();
        assert_eq!((site.algorithm, site.lifetime.as_secs() / DAY), (KeyAlgorithm::P256, 365));
    }

    /// A root and CAs, each below the one before it, of these roles and with these path lengths.
    fn chain(cas: &[(&str, &str)]) -> String {
        let mut text = "[[ca]]\nname = \"ca-0\"\nsubject = \"CN=Root\"\n".to_owned();
        for (place, (role, length)) in cas.iter().enumerate() {
            let name = place + 1;
            text.push_str(&format!(
                "[[ca]]\nname = \"ca-{name}\"\nsubject = \"CN={name}\"\nparent = \"ca-{place}\"\n\
                 role = \"{role}\"\n{length}\n"
            ));
        }
        text
    }

    #[test]
    fn a_path_length_is_within_that_of_the_ca_above() {
        let intermediate = |length| ("intermediate", length);
        for good in [
            vec![intermediate("path_length = 255"), intermediate("path_length = 254")],
            vec![intermediate("path_length = 1"), intermediate("path_length = 0")],
            vec![intermediate("path_length = 1"), ("device", "")],
            vec![intermediate("path_length = 2"), intermediate(""), intermediate("path_length = 0")],
        ] {
            assert!(resolve(&ConfigFile::from_text("p.toml", &chain(&good))).is_ok(), "{good:?}");
        }
        for (bad, expected) in [
            (
                vec![intermediate("path_length = 1"), intermediate("path_length = 1")],
                "p.toml:15: ca.path_length: 1 is too long: the CA above allows 0 to 0 CAs below this one",
            ),
            (
                vec![intermediate("path_length = 2"), intermediate(""), intermediate("path_length = 1")],
                "p.toml:21: ca.path_length: 1 is too long",
            ),
            (
                vec![intermediate("path_length = 0"), ("service", "")],
                "p.toml:10: ca.parent: the CA ca-1 signs no CAs: its path length is 0",
            ),
            (vec![intermediate("path_length = 256")], "p.toml:9: "),
        ] {
            let problems = problems_of(&chain(&bad));
            assert!(problems.iter().any(|one| one.starts_with(expected)), "{expected} in {problems:#?}");
        }
    }

    #[test]
    fn every_problem_is_reported_with_its_line() {
        let problems = problems_of(
            "[[ca]]\nname = \"Not A Name\"\nsubject = \"example\"\nlifetime_days = 0\n\n[[ca]]\nname = \"web\"\n\
             role = \"device\"\nparent = \"ca\"\nsubject = \"CN=Web\"\npath_length = 1\n\n[[certificate]]\n\
             name = \"web\"\nca = \"web\"\nprofile = \"service-server\"\nip = [\"nowhere\"]\n\
             key_usages = [\"keyEncipherment\"]\nsubjct = \"CN=x\"\n",
        );
        for expected in [
            "p.toml:19: certificate.subjct: ",
            "p.toml:2: ca.name: ",
            "p.toml:3: ca.subject: ",
            "p.toml:4: ca.lifetime_days: ",
            "p.toml:6: ca.role: ",
            "p.toml:13: certificate.ca: a device CA signs no services",
            "p.toml:17: certificate.ip: ",
            "p.toml:13: certificate.dns: ",
            "p.toml:18: certificate.key_usages: a key of p256 has digitalSignature",
        ] {
            assert!(
                problems.iter().any(|problem| problem.starts_with(expected)),
                "{expected} in {problems:#?}"
            );
        }
    }
}
