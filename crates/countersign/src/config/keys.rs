//! `[pki]`: where the key-encryption key comes from, and the token that keeps the keys of CAs.

use std::path::{Path, PathBuf};

use countersign_authority::{KeySource, SecretFile, TokenSettings};

use super::environment::CREDENTIALS;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::{RawPkcs11, RawPki};
use super::resolve::count;

/// How the file with the key-encryption key is called in the data directory.
const DEFAULT_FILE: &str = "key-encryption-key";

/// How many may sign in a token at once unless told otherwise.
const DEFAULT_SESSIONS: u64 = 4;

/// A file with a secret, and which setting names it.
pub(super) struct Named {
    pub(super) key: &'static str,
    pub(super) file: SecretFile,
    pub(super) origin: Origin,
}

/// Where the key-encryption key comes from, and the token.
pub(super) fn keys(
    pick: &mut Picker<'_>,
    raw: RawPki,
    data_dir: &Path,
) -> (KeySource, Option<TokenSettings>) {
    let token = token(pick, raw.pkcs11);
    let at = Layers::new("pki.key_encryption_key_file", raw.key_encryption_key_file);
    let file = pick.placed(at).map(|(path, origin)| (KeySource::File(path), origin));
    let at = Layers::new("pki.key_encryption_key_credential", raw.key_encryption_key_credential);
    let given = credential(pick, at).map(|named| (KeySource::Given(named.file), named.origin));
    let at = Layers::new("pki.passphrase_file", raw.passphrase_file);
    let passphrase = own(pick, at).map(|named| (KeySource::Passphrase(named.file), named.origin));
    let at = Layers::new("pki.passphrase_credential", raw.passphrase_credential);
    let laid_down = credential(pick, at).map(|named| (KeySource::Passphrase(named.file), named.origin));
    let mut sources = [file, given, passphrase, laid_down].into_iter().flatten();
    let (source, _) =
        sources.next().unwrap_or_else(|| (KeySource::File(data_dir.join(DEFAULT_FILE)), Origin::Default));
    for (other, origin) in sources {
        let message =
            format!("{other} is named beside {source}: the key-encryption key comes from one of them");
        pick.refuse(&origin, "pki", message);
    }
    (source, token)
}

/// A file of the operator's; it must be there.
fn own(pick: &mut Picker<'_>, layers: Layers<String>) -> Option<Named> {
    let key = layers.key();
    let (path, origin) = pick.file(layers)?;
    Some(Named { key, file: SecretFile::Own(path), origin })
}

/// A credential by its name; it must be there.
pub(super) fn credential(pick: &mut Picker<'_>, layers: Layers<String>) -> Option<Named> {
    let key = layers.key();
    let (name, origin) = pick.given(layers)?;
    let Some(directory) = pick.variable(CREDENTIALS).map(PathBuf::from) else {
        let message = format!(
            "{CREDENTIALS} is not set: systemd sets it for a service with LoadCredential={name}:FILE or \
             LoadCredentialEncrypted={name}"
        );
        pick.refuse(&origin, key, message);
        return None;
    };
    let is_plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    let path = directory.join(&name);
    if !is_plain || !path.is_file() {
        let message = format!(
            "there is no credential {name:?} in {}: add LoadCredential={name}:FILE to the service",
            directory.display()
        );
        pick.refuse(&origin, key, message);
    }
    Some(Named { key, file: SecretFile::Credential(path), origin })
}

fn token(pick: &mut Picker<'_>, raw: RawPkcs11) -> Option<TokenSettings> {
    let module = pick.file(Layers::new("pki.pkcs11.module", raw.module));
    let label = pick.given(Layers::new("pki.pkcs11.token", raw.token));
    let serial = pick.given(Layers::new("pki.pkcs11.serial", raw.serial));
    let pins = [
        own(pick, Layers::new("pki.pkcs11.pin_file", raw.pin_file)),
        credential(pick, Layers::new("pki.pkcs11.pin_credential", raw.pin_credential)),
    ];
    let sessions = Layers::new("pki.pkcs11.sessions", raw.sessions);
    let sessions = count(pick, sessions, DEFAULT_SESSIONS);
    let [pin, other_pin] = pins;
    if let (Some(_), Some(other)) = (&pin, &other_pin) {
        pick.refuse(
            &other.origin,
            other.key,
            "pki.pkcs11.pin_file is set too: the PIN comes from one of them",
        );
    }
    let (label_at, serial_at) = (label.as_ref(), serial.as_ref());
    let named = label_at.or(serial_at).map(|(_, origin)| origin.clone());
    let pin = pin.or(other_pin);
    let given = module.as_ref().map(|(_, origin)| origin.clone()).or_else(|| named.clone());
    let given = given.or_else(|| pin.as_ref().map(|pin| pin.origin.clone()))?;
    let mut need = |is_there: bool, key: &str, message: &str| {
        if !is_there {
            pick.refuse(&given, key, message);
        }
    };
    need(module.is_some(), "pki.pkcs11.module", "missing: the library through which the token is spoken to");
    need(named.is_some(), "pki.pkcs11.token", "missing: the token's label, or pki.pkcs11.serial");
    need(
        pin.is_some(),
        "pki.pkcs11.pin_file",
        "missing: a file with the token's PIN, or pki.pkcs11.pin_credential",
    );
    Some(TokenSettings {
        module: module?.0,
        label: label.map(|(label, _)| label),
        serial: serial.map(|(serial, _)| serial),
        pin: pin?.file,
        sessions,
    })
}

#[cfg(test)]
mod tests {
    use super::super::environment::{Environment, Machine};
    use super::super::file::ConfigFile;
    use super::super::flags::ConfigFlags;
    use super::super::problem::ConfigError;
    use super::super::resolve::{Loaded, resolve};

    use super::*;

    fn read(variables: &[(&str, &str)], text: &str) -> Result<Loaded, ConfigError> {
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let machine =
            Machine { names: vec!["here".parse().unwrap()], processors: std::num::NonZeroUsize::MIN };
        resolve(
            ConfigFlags::default(),
            &environment,
            &machine,
            &ConfigFile::from_text("/etc/cs/c.toml", text),
        )
    }

    fn right(variables: &[(&str, &str)], text: &str) -> (KeySource, Option<TokenSettings>) {
        let loaded = read(variables, text).unwrap();
        assert!(loaded.notices.is_empty(), "{:?}", loaded.notices);
        (loaded.resolved.key_encryption_key, loaded.resolved.token)
    }

    fn wrong(variables: &[(&str, &str)], text: &str) -> Vec<String> {
        match read(variables, text) {
            Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A folder with these files in it.
    fn with(names: &[&str]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs_err::write(folder.path().join(name), "a secret").unwrap();
        }
        let path = folder.path().to_str().unwrap().to_owned();
        (folder, path)
    }

    #[test]
    fn the_key_lies_in_the_data_directory_unless_told_otherwise() {
        let (source, token) = right(&[], "data_dir = \"/srv/cs\"\n");
        assert_eq!((source, token), (KeySource::File("/srv/cs/key-encryption-key".into()), None));
        let (source, _) = right(&[], "[pki]\nkey_encryption_key_file = \"kek\"\n");
        assert_eq!(source, KeySource::File("/etc/cs/kek".into()));
    }

    #[test]
    fn a_variable_names_the_file_with_the_passphrase() {
        let (_folder, path) = with(&["passphrase"]);
        let file = format!("{path}/passphrase");
        let (source, _) = right(&[("COUNTERSIGN_PKI_PASSPHRASE_FILE", &file)], "");
        assert_eq!(source, KeySource::Passphrase(SecretFile::Own(file.into())));
    }

    #[test]
    fn credentials_are_found_where_systemd_lays_them_down() {
        let (_folder, path) = with(&["kek", "pass"]);
        let variables = [(CREDENTIALS, path.as_str())];
        let at = |name: &str| SecretFile::Credential(format!("{path}/{name}").into());
        let (source, _) = right(&variables, "[pki]\nkey_encryption_key_credential = \"kek\"\n");
        assert_eq!(source, KeySource::Given(at("kek")));
        let (source, _) = right(&variables, "[pki]\npassphrase_credential = \"pass\"\n");
        assert_eq!(source, KeySource::Passphrase(at("pass")));
        for name in ["none", "../kek", "", ".."] {
            let said = wrong(&variables, &format!("[pki]\npassphrase_credential = {name:?}\n"));
            assert!(said[0].contains("there is no credential"), "{said:?}");
        }
        let said = wrong(&[], "[pki]\npassphrase_credential = \"pass\"\n");
        assert!(
            said[0].starts_with("/etc/cs/c.toml:2: pki.passphrase_credential: CREDENTIALS_DIRECTORY"),
            "{said:?}"
        );
        assert!(said[0].contains("LoadCredential=pass:FILE"), "{said:?}");
    }

    #[test]
    fn the_key_comes_from_one_place() {
        let (_folder, path) = with(&["passphrase"]);
        let text =
            format!("[pki]\nkey_encryption_key_file = \"kek\"\npassphrase_file = \"{path}/passphrase\"\n");
        let said = wrong(&[], &text);
        assert!(said[0].contains("comes from one of them"), "{said:?}");
    }

    #[test]
    fn a_token_needs_a_module_a_name_and_a_pin() {
        let (_folder, path) = with(&["module.so", "pin"]);
        let module = format!("module = \"{path}/module.so\"");
        let pin = format!("pin_file = \"{path}/pin\"");
        let whole = format!("[pki.pkcs11]\n{module}\ntoken = \"acme\"\n{pin}\nsessions = 9\n");
        let token = right(&[], &whole).1.unwrap();
        assert_eq!((token.label.as_deref(), token.serial, token.sessions.get()), (Some("acme"), None, 9));
        assert_eq!(token.pin, SecretFile::Own(format!("{path}/pin").into()));
        for (text, key) in [
            (format!("token = \"acme\"\n{pin}"), "pki.pkcs11.module"),
            (format!("{module}\n{pin}"), "pki.pkcs11.token"),
            (format!("{module}\nserial = \"1\""), "pki.pkcs11.pin_file"),
            (format!("{module}\ntoken = \"a\"\npin_file = \"/nonexistent/pin\""), "pki.pkcs11.pin_file"),
            (format!("{module}\ntoken = \"a\"\n{pin}\nsessions = 0"), "pki.pkcs11.sessions"),
        ] {
            let said = wrong(&[], &format!("[pki.pkcs11]\n{text}\n"));
            assert!(said.iter().any(|problem| problem.contains(key)), "{text}: {said:?}");
        }
        assert_eq!(wrong(&[], "[pki.pkcs11]\nserial = \"1\"\n").len(), 2, "all at once");
    }
}
