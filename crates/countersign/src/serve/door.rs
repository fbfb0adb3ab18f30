//! The doors of this process: their certificate, what stands behind them, and keeping the certificate fresh.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_authority::door_certificate::DoorNames;
use countersign_core::certificate::Lifetime;
use countersign_core::ids::IssuerKeyId;
use countersign_edge::mqtt::{Holdings, Hub, Listeners, Sink};
use countersign_edge::{EdgeReport, LocalControlPlane};
use countersign_server::{AdminOnDoor, ControlPlane, door_router, door_service};
use countersign_supervisor::Sockets;
use countersign_tls::{ServerCredential, ServerCredentials};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::ingest::{Ingest, Keeps};
use super::mosquitto;
use super::tokens::KnownTokens;
use crate::config::{self, DoorCertificate, PublicName, Resolved};
use crate::doors::{self, Doors, Given};
use crate::letters::{self, Here};
use crate::sinks;

/// How often it looks whether the doors' certificate is to be renewed: clocks can jump.
const LOOK: Duration = Duration::from_secs(15);

/// Opens the doors and attaches them to the authority as one edge.
pub(super) async fn open(
    config: &Resolved,
    authority: &Arc<Authority>,
    control_plane: ControlPlane,
    (reports, sockets): (mpsc::Sender<EdgeReport>, Sockets),
) -> anyhow::Result<Doors> {
    let admin = match config.admin.on_door {
        config::AdminOnDoor::Hidden => AdminOnDoor::Hidden,
        config::AdminOnDoor::Exposed => AdminOnDoor::Exposed,
    };
    let ingest = Arc::new(ingest(config, authority)?);
    let messages: Arc<dyn Sink> = Arc::<Ingest>::clone(&ingest);
    subscribe(config, authority, &messages)?;
    let control_plane = control_plane.handing_messages_to(ingest);
    let given = Given {
        credentials: credentials(config, authority).await?,
        snapshots: authority.snapshots(),
        reports,
        control_plane: LocalControlPlane {
            service: door_service(door_router(control_plane, admin)),
            runtime: Handle::current(),
        },
        admin,
        messages,
        hub: Hub::new(),
        holdings: Holdings::new(),
        listeners: Listeners::new(),
        tokens: Arc::new(KnownTokens::new(Arc::clone(authority))),
        roots: authority.root_pem(),
    };
    let doors = doors::open(config, &given, sockets)?;
    letters::start(config, (&doors, &given), Here::new(Arc::clone(authority)))?;
    if let Some(applied) = doors.applied() {
        authority.attach_edge(applied);
    }
    Ok(doors)
}

/// Takes what devices say at a Mosquitto, if that is wanted.
fn subscribe(config: &Resolved, authority: &Arc<Authority>, sink: &Arc<dyn Sink>) -> anyhow::Result<()> {
    if let Some(settings) = &config.mosquitto
        && settings.ingest == config::BrokerIngest::Subscribed
    {
        let broker = mosquitto::Broker::of(settings, &authority.root_pem())?;
        tokio::spawn(mosquitto::subscribe(Arc::clone(authority), broker, Arc::clone(sink)));
    }
    Ok(())
}

/// What takes messages of devices.
fn ingest(config: &Resolved, authority: &Arc<Authority>) -> anyhow::Result<Ingest> {
    let sinks = sinks::open(&config.ingest.sinks, &authority.root_pem())?;
    let is_alone = config.mqtt_door.as_ref().is_some_and(|door| door.messages == config::Messages::Sinks);
    let keeps = if is_alone { Keeps::Nothing } else { Keeps::Database };
    let proofs = config.mqtt_door.as_ref().map_or(config::Proofs::Never, |door| door.proofs);
    Ok(Ingest::new(Arc::clone(authority), sinks, keeps, proofs))
}

async fn credentials(
    config: &Resolved,
    authority: &Arc<Authority>,
) -> anyhow::Result<Arc<ServerCredentials>> {
    match &config.http_door.certificate {
        DoorCertificate::Files { chain, key } => {
            Ok(Arc::new(ServerCredentials::new(doors::from_files(chain, key)?)))
        }
        DoorCertificate::Issued => {
            let names = names(&config.public_names, config.http_door.listen.ip());
            let (credential, shown) = issue(authority, &names).await?;
            let credentials = Arc::new(ServerCredentials::new(credential));
            authority.doors_show(shown.issuer);
            tokio::spawn(keep_fresh(Arc::clone(authority), names, Arc::clone(&credentials), shown));
            Ok(credentials)
        }
    }
}

/// The names in the certificate: the public ones, and the address that the door is bound to.
fn names(public: &[PublicName], bound: std::net::IpAddr) -> DoorNames {
    let mut names = DoorNames { dns: Vec::new(), ips: Vec::new() };
    for name in public {
        match name {
            PublicName::Dns(dns) => names.dns.push(dns.clone()),
            PublicName::Ip(ip) => names.ips.push(*ip),
        }
    }
    if !bound.is_unspecified() && !names.ips.contains(&bound) {
        names.ips.push(bound);
    }
    names
}

/// What is to be known of the certificate that the door shows.
#[derive(Clone, Copy)]
struct Shown {
    lifetime: Lifetime,
    issuer: IssuerKeyId,
}

async fn issue(authority: &Authority, names: &DoorNames) -> anyhow::Result<(ServerCredential, Shown)> {
    let issued = authority.issue_door_certificate(names).await.context("issue the doors' certificate")?;
    let credential =
        ServerCredential::from_der(issued.chain, &issued.key).context("use the doors' certificate")?;
    Ok((credential, Shown { lifetime: issued.lifetime, issuer: issued.issuer }))
}

/// Renews the doors' certificate at two thirds of its life, and when another CA signs them, and swaps it
/// in, for ever.
async fn keep_fresh(
    authority: Arc<Authority>,
    names: DoorNames,
    credentials: Arc<ServerCredentials>,
    mut shown: Shown,
) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut snapshots = authority.snapshots();
    loop {
        let changed = tokio::select! {
            _tick = tick.tick() => Ok(()),
            changed = snapshots.changed() => changed,
        };
        // Nothing is published any more: the authority has ended.
        let Ok(()) = changed else { return };
        if authority.signs_doors(shown.issuer) && !shown.lifetime.renewal_due(authority.now()) {
            continue;
        }
        match issue(&authority, &names).await {
            Ok((credential, renewed)) => {
                credentials.replace_default(credential);
                shown = renewed;
                authority.doors_show(shown.issuer);
                tracing::info!(expires_at = %shown.lifetime.expires_at, issuer = %shown.issuer, "door certificate renewed");
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "door certificate not renewed"),
        }
    }
}
