//! The one place that reads the process's environment and asks the machine who it is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use countersign_authority::SecretFile;
use zeroize::Zeroizing;

use super::device_ca;
use super::names::PublicName;

/// Every variable of ours begins with this.
const PREFIX: &str = "COUNTERSIGN_";

/// Where systemd lays down the credentials of a service.
pub(super) const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The variables that matter to Countersign.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process. A value that is not UTF-8 is kept with replacement characters, so
    /// that it is refused where it is parsed.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect()
    }

    /// A variable; an empty one counts as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A file with a secret, by its path: a credential when it lies where systemd lays those down.
    pub(crate) fn secret_file(&self, path: PathBuf) -> SecretFile {
        match self.variable(CREDENTIALS) {
            Some(directory) if path.starts_with(directory) => SecretFile::Credential(path),
            Some(_) | None => SecretFile::Own(path),
        }
    }

    /// A secret that a command was told to find in a variable of this process, whatever its name; `None`
    /// when it is not set, or no text.
    pub(crate) fn secret(name: &str) -> Option<Zeroizing<String>> {
        let found = std::env::vars_os().find(|(known, _)| known == name)?;
        found.1.into_string().ok().map(Zeroizing::new)
    }

    /// Where programs keep what is one person's, as the XDG base directory specification has it; `None` when
    /// nothing says so.
    pub(crate) fn user_folder() -> Option<PathBuf> {
        let found = |wanted: &str| {
            let (_, value) = std::env::vars_os().find(|(name, _)| name == wanted)?;
            Some(PathBuf::from(value)).filter(|path| path.is_absolute())
        };
        found("XDG_CONFIG_HOME").or_else(|| Some(found("HOME")?.join(".config")))
    }

    /// The variables of ours that name no setting: misspelt, or set by a container platform for a
    /// service that is called `countersign`.
    pub(crate) fn unknown<'a>(&'a self, known: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str).filter(move |name| !known(name))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let matters = |name: &str| {
            let begins = [PREFIX, "CLOUDFLARE_"].iter().any(|prefix| name.starts_with(prefix));
            begins || name == CREDENTIALS || device_ca::is_variable(name)
        };
        Self(variables.into_iter().filter(|(name, _)| matters(name)).collect())
    }
}

/// The variable of a setting: `http_door.listen` is `COUNTERSIGN_HTTP_DOOR_LISTEN`.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

/// What defaults depend on.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// What the machine calls itself and its addresses, in the order in which they are offered to
    /// devices.
    pub(crate) names: Vec<PublicName>,
    /// How many threads can run at once.
    pub(crate) processors: NonZeroUsize,
}

impl Machine {
    /// This machine. What cannot be found out is left out: `localhost` always remains.
    pub(crate) fn this() -> Self {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let addresses = if_addrs::get_if_addrs().unwrap_or_default();
        let mut names: Vec<PublicName> = hostname.parse().ok().into_iter().collect();
        names.push(PublicName::Dns("localhost".to_owned()));
        names.extend(addresses.iter().map(if_addrs::Interface::ip).filter(is_reachable).map(PublicName::Ip));
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Self { names, processors: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN) }
    }
}

/// Link-local IPv6 addresses need a zone, which no certificate can name.
fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_variable_have_the_same_words() {
        assert_eq!(variable_of("http_door.listen"), "COUNTERSIGN_HTTP_DOOR_LISTEN");
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let environment: Environment =
            [("COUNTERSIGN_DATA_DIR".to_owned(), String::new())].into_iter().collect();
        assert_eq!(environment.variable("COUNTERSIGN_DATA_DIR"), None);
    }

    #[test]
    fn this_machine_can_be_reached_as_localhost() {
        assert!(Machine::this().names.contains(&PublicName::Dns("localhost".to_owned())));
    }
}
