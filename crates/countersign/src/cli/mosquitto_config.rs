//! `countersign mqtt mosquitto-config`: Mosquitto's side of serving devices itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use countersign_api::wire::service_certificates::{IssueServiceCertificateRequest, ServiceCertificateDetail};
use countersign_ca::{
    BrokerPassword, CertificateDescription, CertificateFacts, KeyAlgorithm, SigningKey,
    certificates_from_pem, random_bytes,
};
use countersign_core::certificate::Lifetime;
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::admin_server::AdminServer;
use super::cert_issue::{Files, request_of};
use super::failure::Failure;
use super::mqtt_arguments::{MosquittoConfigArguments, MqttCommand};
use super::output::{self, note, print, print_json};
use super::run::{block_on, loaded};
use super::server_call::{admin_address, fetch};
use crate::mosquitto::{
    Existing, Folder, Listener, RevocationList, Secrecy, Told, Version, device_cas, first_accounts,
    lines_for_everybody, services_acl, tell,
};

/// The label of the server's certificate on record.
const LABEL: &str = "mosquitto";

/// Where distributions put the plugin.
const PLUGIN: &str = "mosquitto_dynamic_security.so";
const LIBRARIES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/arm-linux-gnueabihf",
    "/usr/lib",
    "/usr/local/lib",
];

/// Does what was asked for.
pub(super) fn run(command: MqttCommand) -> Result<(), Failure> {
    let MqttCommand::MosquittoConfig(arguments) = command;
    if !arguments.watch {
        return report(&arguments, &once(&arguments)?);
    }
    loop {
        match once(&arguments) {
            Ok(done) if done.is_worth_saying() => report(&arguments, &done)?,
            Ok(_nothing) => {}
            // What is in place stays; the next run tries again.
            Err(failure) => output::report(&failure),
        }
        block_on(async {
            tokio::time::sleep_until(Instant::now() + Duration::from_secs(arguments.interval)).await;
            Ok(())
        })?;
    }
}

/// What a run did.
struct Done {
    folder: Folder,
    is_changed: bool,
    is_told: bool,
    certificate_until: Option<Timestamp>,
    lists: Vec<RevocationList>,
}

impl Done {
    const fn is_worth_saying(&self) -> bool {
        self.is_changed || self.is_told
    }
}

fn once(arguments: &MosquittoConfigArguments) -> Result<Done, Failure> {
    let now = SystemClock.now();
    let folder = Folder::open(&arguments.dir).context("open the directory")?;
    let existing = existing(arguments, &folder)?;
    let before = folder.read();
    let (version, lists) = version(arguments, before.as_ref(), now)?;
    let certificate_until = version.server.as_ref().and_then(|(pem, _key)| until(pem));
    let mut is_changed = before.as_ref() != Some(&version);
    if is_changed {
        folder.put(&version).context("put the new version in place")?;
    }
    is_changed |= listener(arguments, &folder, &existing).context("write the listener")?;
    accounts(arguments, &folder).context("write the first accounts")?;
    let told = match (&arguments.pid_file, &arguments.reload) {
        (Some(file), _) => Some(Told::PidFile(file.clone())),
        (None, Some(command)) => Some(Told::Command(command.clone())),
        (None, None) => None,
    };
    let is_due = is_changed || !folder.is_told();
    if let Some(told) = told.as_ref().filter(|_told| is_due) {
        tell(told).map_err(|error| {
            Failure::from(error).hint("everything is in place; the next run tells Mosquitto again")
        })?;
        folder.note_told().context("note that Mosquitto was told")?;
    }
    Ok(Done { folder, is_changed, is_told: is_due && told.is_some(), certificate_until, lists })
}

/// What Mosquitto's configuration says already. Refuses one beside which isolation would not hold.
fn existing(arguments: &MosquittoConfigArguments, folder: &Folder) -> Result<Existing, Failure> {
    let path = &arguments.mosquitto_conf;
    if !path.exists() {
        return Ok(Existing::default());
    }
    let existing = Existing::read(path, &folder.file("countersign.conf"));
    let existing = existing.context("read Mosquitto's configuration")?;
    if existing.is_per_listener {
        let error = anyhow::anyhow!("{} says per_listener_settings true", path.display());
        return Err(Failure::bad_usage(error)
            .hint("the plugin must be for all listeners: it is commanded on another than the devices'"));
    }
    if existing.ports.contains(&arguments.listen.port()) {
        let error = anyhow::anyhow!("{} has a listener on port {}", path.display(), arguments.listen.port());
        return Err(Failure::bad_usage(error).hint("take it out: countersign.conf has it"));
    }
    let own = folder.file("acl");
    if let Some(acl) = existing.acl.as_ref().filter(|acl| **acl != own) {
        let text = fs_err::read_to_string(acl).context("read Mosquitto's list of rights")?;
        for line in lines_for_everybody(&text) {
            note(&format!(
                "{}: `{line}` is for everybody, also for a device in the moment before its role is there; remove it",
                acl.display()
            ));
        }
    }
    Ok(existing)
}

fn version(
    arguments: &MosquittoConfigArguments,
    before: Option<&Version>,
    now: Timestamp,
) -> Result<(Version, Vec<RevocationList>), Failure> {
    let address = admin_address(&loaded(arguments.config.clone())?.resolved)?;
    let bundle = block_on(fetch(address, "/pki/bundle.pem"))?;
    let bundle = String::from_utf8(bundle).context("read the server's bundle")?;
    let more = arguments.device_cas.iter().map(fs_err::read_to_string).collect::<Result<Vec<_>, _>>();
    let trust = device_cas(&bundle, &more.context("read a device CA")?)?;
    let in_place = before.map_or("", |before| before.lists.as_str());
    let mut lists = Vec::new();
    for ca in &trust.cas {
        let list = block_on(fetch(address, &format!("/pki/crl/{}.crl", ca.key_id())))?;
        lists.push(ca.list(&list, now, in_place).with_context(|| format!("CA {}", ca.key_id()))?);
    }
    let server = match &arguments.token_file {
        None => None,
        Some(token) => {
            let kept = before.and_then(|before| before.server.clone());
            let kept = kept.filter(|(pem, _key)| is_good(arguments, pem, now));
            Some(match kept {
                Some(kept) => kept,
                None => issued(arguments, token)?,
            })
        }
    };
    let pem = lists.iter().map(|list| list.pem.as_str()).collect();
    Ok((Version { server, device_cas: trust.pem, lists: pem, root: trust.roots }, lists))
}

/// Whether the server's certificate has the names that are wanted, and is not to be renewed yet.
fn is_good(arguments: &MosquittoConfigArguments, pem: &str, now: Timestamp) -> bool {
    let Some(leaf) = leaf(pem) else { return false };
    let (Ok(facts), Ok(said)) = (CertificateFacts::of(&leaf), CertificateDescription::of(&leaf, None, now))
    else {
        return false;
    };
    let lifetime = Lifetime { issued_at: facts.not_before, expires_at: facts.not_after };
    let dns = arguments.dns.iter().map(|name| format!("DNS:{name}"));
    let mut wanted: Vec<String> = dns.chain(arguments.ip.iter().map(|ip| format!("IP:{ip}"))).collect();
    let mut has = said.names;
    wanted.sort();
    has.sort();
    wanted == has && !lifetime.renewal_due(now)
}

fn leaf(pem: &str) -> Option<Vec<u8>> {
    certificates_from_pem(pem).ok()?.into_iter().next()
}

fn until(pem: &str) -> Option<Timestamp> {
    Some(CertificateFacts::of(&leaf(pem)?).ok()?.not_after)
}

/// A certificate for the server, for a key that is made here.
fn issued(
    arguments: &MosquittoConfigArguments,
    token: &Path,
) -> Result<(String, Zeroizing<String>), Failure> {
    let server = AdminServer::with_token_file(arguments.config.clone(), token)?;
    let key = SigningKey::generate(KeyAlgorithm::P256).context("make a key")?;
    let wanted = IssueServiceCertificateRequest {
        ca: None,
        profile: "service-server".to_owned(),
        subject: None,
        dns: arguments.dns.clone(),
        ip: arguments.ip.clone(),
        uri: Vec::new(),
        label: Some(LABEL.parse().context("name the certificate")?),
        lifetime_days: None,
        csr: request_of(&key)?,
    };
    let issued: ServiceCertificateDetail =
        server.ask(Method::POST, "/service-certificates", &json!(wanted).to_string())?;
    Ok((Files::of(&issued)?.certificate, key.pkcs8_pem()))
}

/// Writes the listener, and the rights of services unless there are some. Whether anything changed.
fn listener(
    arguments: &MosquittoConfigArguments,
    folder: &Folder,
    existing: &Existing,
) -> anyhow::Result<bool> {
    let own = folder.file("acl");
    let acl = existing.acl.is_none().then_some(own);
    let listener = Listener {
        address: arguments.listen,
        certificate: absolute(arguments.cert.as_ref(), || folder.current("server-cert.pem"))?,
        key: absolute(arguments.key.as_ref(), || folder.current("server-key.pem"))?,
        device_cas: folder.current("device-cas.pem"),
        lists: folder.current("device-crl.pem"),
        plugin: plugin(arguments.plugin.as_deref())?,
        accounts: folder.file("dynamic-security.json"),
        acl,
    };
    let mut is_changed = folder.replace("countersign.conf", &listener.text(), Secrecy::Open)?;
    if existing.acl.is_none() {
        let acl = services_acl(&arguments.services, &arguments.topics);
        is_changed |= folder.replace("acl", &acl, Secrecy::Secret)?;
    }
    Ok(is_changed)
}

fn absolute(given: Option<&PathBuf>, usual: impl FnOnce() -> PathBuf) -> anyhow::Result<PathBuf> {
    given.map_or_else(|| Ok(usual()), |path| Ok(fs_err::canonicalize(path)?))
}

fn plugin(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(fs_err::canonicalize(path)?);
    }
    let found = LIBRARIES.iter().map(|library| Path::new(library).join(PLUGIN)).find(|path| path.exists());
    found.with_context(|| format!("find {PLUGIN}: say where it is with --plugin"))
}

/// The account that commands the plugin, once: from then on the file is the plugin's.
fn accounts(arguments: &MosquittoConfigArguments, folder: &Folder) -> anyhow::Result<()> {
    if folder.file("dynamic-security.json").exists() {
        return Ok(());
    }
    let there = fs_err::read_to_string(folder.file("driver.password")).ok().map(Zeroizing::new);
    let password = match there {
        Some(password) => Zeroizing::new(password.trim_end().to_owned()),
        None => Zeroizing::new(hex::encode(random_bytes::<32>()?)),
    };
    folder.replace("driver.password", &format!("{}\n", *password), Secrecy::Secret)?;
    let hashed = BrokerPassword::of_random(&password)?;
    let file = first_accounts(&arguments.user, &hashed, &arguments.topics);
    folder.replace("dynamic-security.json", &file, Secrecy::Secret).map(drop)
}

fn report(arguments: &MosquittoConfigArguments, done: &Done) -> Result<(), Failure> {
    let file = done.folder.file("countersign.conf");
    if arguments.json {
        let lists: Vec<Value> = done.lists.iter().map(list_as_json).collect();
        let said = json!({
            "listener": file,
            "changed": done.is_changed,
            "told": done.is_told,
            "certificateUntil": done.certificate_until,
            "lists": lists,
        });
        return if arguments.watch { Ok(print(&format!("{said}\n"))?) } else { Ok(print_json(&said)?) };
    }
    let mut text = format!("listener     {}\n", file.display());
    if let Some(until) = done.certificate_until {
        text.push_str(&format!("certificate  until {until}\n"));
    }
    for list in &done.lists {
        text.push_str(&format!(
            "list         {} of {}, until {}\n",
            list.number, list.issuer, list.next_update
        ));
    }
    let what = match (done.is_changed, done.is_told) {
        (true, true) => "written, Mosquitto told",
        (true, false) => "written; Mosquitto reads it when it is told (--pid-file, --reload)",
        (false, true) => "as it was, Mosquitto told",
        (false, false) => "as it was",
    };
    Ok(print(&format!("{text}{what}\n"))?)
}

fn list_as_json(list: &RevocationList) -> Value {
    json!({ "ca": list.issuer, "number": list.number, "nextUpdate": list.next_update })
}
