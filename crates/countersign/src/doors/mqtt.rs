//! The MQTT door: how the configuration wants it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use countersign_edge::mqtt::{
    Account, Broker, Grant, Hub, MqttDoor, MqttDoorConfig, MqttUpstream, Password, PayloadTokens, Sink,
};
use countersign_edge::{DoorHandle, Limits, ProxyHeader};
use countersign_supervisor::Sockets;

use super::listening::{MQTT_DOOR, MQTT_TOKENS};
use super::message_file::MessageFile;
use super::open::{Given, Opening, unless_taken};
use super::tcp;
use crate::config::{self, MqttAccount, Resolved};

/// Opens the door that the configuration wants, if it wants one and its address is free.
///
/// # Errors
/// Fails closed: when it cannot be as the configuration wants it.
pub(super) fn open(
    config: &Resolved,
    given: &Given,
    opening: &Opening,
    sockets: &mut Sockets,
) -> anyhow::Result<Option<DoorHandle>> {
    let Some(door) = &config.mqtt_door else { return Ok(None) };
    let grants = config.mqtt_grants.iter().map(grant).collect();
    let settings = MqttDoorConfig { grants, ..settings(door, given).context("prepare the MQTT door")? };
    let here = sockets.take(MQTT_DOOR, door.listen);
    let started = MqttDoor::start_on(settings, opening.inputs(None), here);
    unless_taken(started, &opening.adoption).context("open the MQTT door")
}

/// Opens its listener for devices that show tokens, if the configuration wants one and its address is free.
///
/// # Errors
/// As [`open`].
pub(super) fn open_for_tokens(
    config: &Resolved,
    given: &Given,
    opening: &Opening,
    sockets: &mut Sockets,
) -> anyhow::Result<Option<DoorHandle>> {
    let Some(door) = &config.mqtt_door else { return Ok(None) };
    let Some(listen) = door.token_listen else { return Ok(None) };
    let settings = settings(door, given).context("prepare the MQTT door's listener for tokens")?;
    let settings =
        MqttDoorConfig { addresses: vec![listen], tokens: Some(Arc::clone(&given.tokens)), ..settings };
    let here = sockets.take(MQTT_TOKENS, listen);
    let started = MqttDoor::start_on(settings, opening.inputs(None), here);
    unless_taken(started, &opening.adoption).context("open the MQTT door's listener for tokens")
}

fn grant(grant: &config::MqttGrant) -> Grant {
    Grant::new(&grant.name.to_string(), grant.audience.clone(), grant.rights.clone())
}

/// The door's settings, without what is granted.
fn settings(door: &config::MqttDoor, given: &Given) -> anyhow::Result<MqttDoorConfig> {
    let upstream = upstream_of(door, &given.hub, &given.roots)?;
    let sink = match &door.messages {
        config::Messages::Broker => None,
        config::Messages::Database | config::Messages::Sinks => Some(Arc::clone(&given.messages)),
        config::Messages::File(path) => Some(Arc::new(MessageFile::open(path)?) as Arc<dyn Sink>),
    };
    Ok(MqttDoorConfig {
        workers: door.workers,
        handshake_timeout: door.handshake,
        limits: Limits { total: door.connections.get(), per_address: door.connections_per_ip.get() },
        proxy_networks: door.proxy_protocol_networks.clone(),
        layout: door.layout.clone(),
        terms: door.terms.clone(),
        sink,
        listeners: Some(Arc::clone(&given.listeners)),
        holdings: Arc::clone(&given.holdings),
        payload_tokens: if door.token_listen.is_none() && door.proofs == config::Proofs::Never {
            PayloadTokens::PassedOn
        } else {
            PayloadTokens::TakenOut
        },
        ..MqttDoorConfig::new(door.listen, upstream)
    })
}

/// What stands behind the door; `roots` are this installation's, PEM.
///
/// # Errors
/// When a password, or what the broker is recognised by, cannot be read.
pub(crate) fn upstream_of(
    door: &config::MqttDoor,
    hub: &Arc<Hub>,
    roots: &str,
) -> anyhow::Result<MqttUpstream> {
    Ok(match &door.upstream {
        config::MqttUpstream::Hub => MqttUpstream::Hub(Arc::clone(hub)),
        config::MqttUpstream::Broker { server, account, proxy_header } => MqttUpstream::Broker(Broker {
            server: tcp::upstream(server, roots)?,
            account: account_of(account)?,
            proxy_header: match proxy_header {
                config::ProxyHeader::None => ProxyHeader::None,
                config::ProxyHeader::V2 => ProxyHeader::V2,
            },
        }),
    })
}

fn account_of(account: &MqttAccount) -> anyhow::Result<Account> {
    let read = |path: &Path| password_in(path).context("read the password of the door's account");
    Ok(match account {
        MqttAccount::Anonymous => Account::Anonymous,
        MqttAccount::Door { name, password } => {
            Account::Door { name: name.clone(), password: read(password)? }
        }
        MqttAccount::Identity { password } => {
            Account::Identity { password: password.as_deref().map(read).transpose()? }
        }
    })
}

/// The password in a file, without the end of its line.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn password_in(path: &Path) -> std::io::Result<Password> {
    let text = fs_err::read_to_string(path)?;
    Ok(Password::new(text.trim_end_matches(['\r', '\n'])))
}
