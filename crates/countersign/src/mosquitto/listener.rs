//! The listener for devices, and what the configuration beside it may not say.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The listener for devices.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The server's certificate and key.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// The device CAs.
    pub(crate) device_cas: PathBuf,
    /// Their revocation lists.
    pub(crate) lists: PathBuf,
    /// The plugin and its file.
    pub(crate) plugin: PathBuf,
    pub(crate) accounts: PathBuf,
    /// The rights of services, unless the configuration has its own.
    pub(crate) acl: Option<PathBuf>,
}

impl Listener {
    /// As Mosquitto reads it, without comments about what has none.
    pub(crate) fn text(&self) -> String {
        let address = if self.address.ip().is_unspecified() {
            String::new()
        } else {
            format!(" {}", self.address.ip())
        };
        let acl = self.acl.as_ref().map(|acl| format!("acl_file {}\n", acl.display())).unwrap_or_default();
        format!(
            "# Written by `countersign mqtt mosquitto-config`, and written anew by it. To be included once.\n\
             listener {port}{address}\n\
             protocol mqtt\n\
             # What the server shows, and whose devices it admits: two things, apart from each other.\n\
             certfile {certificate}\n\
             keyfile {key}\n\
             cafile {cas}\n\
             # A device whose CA has no list here is refused, and so is everyone when a list is too old.\n\
             crlfile {lists}\n\
             require_certificate true\n\
             tls_version tlsv1.2\n\
             # The CN, tenant/device, is user name and client identifier: nobody takes over another's session.\n\
             use_identity_as_username true\n\
             use_username_as_clientid true\n\
             \n\
             # For all listeners: accounts that the plugin does not know are looked up as before.\n\
             plugin {plugin}\n\
             plugin_opt_config_file {accounts}\n\
             {acl}",
            port = self.address.port(),
            certificate = self.certificate.display(),
            key = self.key.display(),
            cas = self.device_cas.display(),
            lists = self.lists.display(),
            plugin = self.plugin.display(),
            accounts = self.accounts.display(),
        )
    }
}

/// The rights of services that connect to the other listeners with passwords.
pub(crate) fn services_acl(services: &[String], root: &str) -> String {
    let mut text = "# Written by `countersign mqtt mosquitto-config`, and written anew by it: the rights of services.\n\
                    # Devices have none here, each has a role. A line for everybody (pattern) would be for them, too.\n"
        .to_owned();
    for service in services {
        text.push_str(&format!("\nuser {service}\ntopic readwrite {root}\n"));
    }
    text
}

/// What Mosquitto's configuration says already that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Existing {
    /// Whether each listener has settings of its own.
    pub(crate) is_per_listener: bool,
    /// Its list of rights.
    pub(crate) acl: Option<PathBuf>,
    /// Its listeners' ports.
    pub(crate) ports: BTreeSet<u16>,
}

impl Existing {
    /// Reads a configuration and what it includes, but for `own`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn read(path: &Path, own: &Path) -> std::io::Result<Self> {
        let mut existing = Self::default();
        existing.take(&fs_err::read_to_string(path)?, own)?;
        Ok(existing)
    }

    fn take(&mut self, text: &str, own: &Path) -> std::io::Result<()> {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("per_listener_settings"), Some(value)) => self.is_per_listener = value == "true",
                (Some("acl_file"), Some(file)) => self.acl = Some(PathBuf::from(file)),
                (Some("listener" | "port"), Some(port)) => self.ports.extend(port.parse::<u16>()),
                (Some("include_dir"), Some(directory)) => self.include(Path::new(directory), own)?,
                (Some(_) | None, _) => {}
            }
        }
        Ok(())
    }

    fn include(&mut self, directory: &Path, own: &Path) -> std::io::Result<()> {
        let own = fs_err::canonicalize(own).ok();
        for entry in fs_err::read_dir(directory)? {
            let path = entry?.path();
            let is_ours = own.is_some() && fs_err::canonicalize(&path).ok() == own;
            if !is_ours && path.extension().is_some_and(|end| end == "conf") {
                self.take(&fs_err::read_to_string(&path)?, Path::new(""))?;
            }
        }
        Ok(())
    }
}

/// The lines of a list of rights that are for everybody whatever they are called: a device whose account is
/// not there yet would have them, too.
pub(crate) fn lines_for_everybody(acl: &str) -> Vec<&str> {
    let is_wide = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next() == Some("pattern") && !line.contains("%u") && !line.contains("%c")
    };
    acl.lines().map(str::trim).filter(is_wide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_everybody_are_found() {
        let acl = "user a\ntopic readwrite #\n# pattern write x\npattern readwrite tenant/%u/#\n\
                   \x20 pattern write tenant/+/device/+/telemetry/#\n";
        assert_eq!(lines_for_everybody(acl), ["pattern write tenant/+/device/+/telemetry/#"]);
    }

    #[test]
    fn what_the_configuration_says_is_found_where_it_includes_it() {
        let folder = tempfile::tempdir().unwrap();
        let included = folder.path().join("conf.d");
        fs_err::create_dir(&included).unwrap();
        let (main, own) = (folder.path().join("mosquitto.conf"), included.join("own.conf"));
        fs_err::write(&main, format!("listener 1883 127.0.0.1\ninclude_dir {}\n", included.display()))
            .unwrap();
        fs_err::write(&own, "listener 8883\nacl_file /own\n").unwrap();
        fs_err::write(included.join("a.conf"), "  acl_file /etc/acl\nlistener 9001\nprotocol websockets\n")
            .unwrap();
        fs_err::write(included.join("b.txt"), "per_listener_settings true\n").unwrap();
        let existing = Existing::read(&main, &own).unwrap();
        assert_eq!(existing.acl, Some(PathBuf::from("/etc/acl")));
        assert_eq!(existing.ports, BTreeSet::from([1883, 9001]));
        assert!(!existing.is_per_listener);
    }
}
