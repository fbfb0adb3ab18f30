//! The HTTP door: its certificate, what stands behind it, and keeping the certificate fresh.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_authority::door_certificate::DoorNames;
use countersign_core::certificate::Lifetime;
use countersign_core::ids::IssuerKeyId;
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::SystemClock;
use countersign_edge::{
    DoorConfig, DoorError, DoorHandle, DoorInputs, EdgeReport, HttpDoor, Limits, LocalControlPlane, Route,
    Upstream,
};
use countersign_server::{AdminOnDoor, ControlPlane, door_router, door_service};
use countersign_tls::{ClientAuth, ServerCredential, ServerCredentials};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::config::{self, DoorCertificate, DoorClientAuth, HttpDoor as Settings, PublicName, Resolved};

/// How often it looks whether the doors' certificate is to be renewed: clocks can jump.
const LOOK: Duration = Duration::from_secs(15);

/// Opens the door and attaches it to the authority as an edge; `None` when its address is another
/// program's, which is a warning: the rest starts.
pub(super) async fn open(
    config: &Resolved,
    authority: &Arc<Authority>,
    control_plane: ControlPlane,
    reports: mpsc::Sender<EdgeReport>,
) -> anyhow::Result<Option<DoorHandle>> {
    let credentials = credentials(config, authority).await?;
    let (applied, applications) = watch::channel(SnapshotVersion::default());
    let admin = match config.admin.on_door {
        config::AdminOnDoor::Hidden => AdminOnDoor::Hidden,
        config::AdminOnDoor::Exposed => AdminOnDoor::Exposed,
    };
    let inputs = DoorInputs {
        credentials,
        snapshots: authority.snapshots(),
        applied,
        reports,
        control_plane: Some(LocalControlPlane {
            service: door_service(door_router(control_plane, admin)),
            runtime: Handle::current(),
        }),
        clock: Arc::new(SystemClock),
    };
    match HttpDoor::start(settings(config, admin), inputs) {
        Ok(door) => {
            authority.attach_edge(applications);
            Ok(Some(door))
        }
        Err(DoorError::Listen { address, source }) if source.kind() == ErrorKind::AddrInUse => {
            tracing::warn!(%address, "port taken, http door stays closed");
            Ok(None)
        }
        Err(error) => Err(error).context("open the HTTP door"),
    }
}

fn settings(config: &Resolved, admin: AdminOnDoor) -> DoorConfig {
    let door: &Settings = &config.http_door;
    let mut routes = Route::control_plane();
    if admin == AdminOnDoor::Exposed {
        routes.push(Route {
            host: None,
            path_prefix: "/api/v1".to_owned(),
            upstream: Upstream::ControlPlane,
            identity: Enforcement::Off,
            renewal_paths: Vec::new(),
        });
    }
    routes.extend(config.routes.iter().map(|route| Route {
        host: route.host.as_ref().map(ToString::to_string),
        path_prefix: route.path.clone(),
        upstream: Upstream::Http(route.upstream.uri().clone()),
        identity: route.identity,
        renewal_paths: route.renewal_paths.clone(),
    }));
    DoorConfig {
        addresses: vec![door.listen],
        workers: door.workers,
        client_auth: match door.client_auth {
            DoorClientAuth::None => ClientAuth::None,
            DoorClientAuth::Optional => ClientAuth::Optional,
            DoorClientAuth::Required => ClientAuth::Required,
        },
        handshake_timeout: door.limits.handshake_timeout,
        header_timeout: door.limits.header_timeout,
        idle_timeout: door.limits.idle_timeout,
        upstream_timeout: door.limits.upstream_timeout,
        limits: Limits {
            total: door.limits.max_connections.get(),
            per_address: door.limits.max_connections_per_ip.get(),
        },
        proxy_networks: door.proxy_protocol_networks.clone(),
        hosts: door.hosts.iter().map(ToString::to_string).collect(),
        routes,
        rules: door.rules,
        ..DoorConfig::default()
    }
}

async fn credentials(
    config: &Resolved,
    authority: &Arc<Authority>,
) -> anyhow::Result<Arc<ServerCredentials>> {
    match &config.http_door.certificate {
        DoorCertificate::Files { chain, key } => {
            let chain = fs_err::read_to_string(chain).context("read the door's certificate")?;
            let key = fs_err::read_to_string(key).context("read the door's key")?;
            let credential =
                ServerCredential::from_pem(&chain, &key).context("use the door's certificate")?;
            Ok(Arc::new(ServerCredentials::new(credential)))
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
