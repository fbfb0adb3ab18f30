//! The MQTT door as a whole: what it is given, and how it starts.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::settings::Enforcement;
use countersign_tls::{ClientAuth, HostPolicies};
use ipnet::IpNet;

use super::grant::Grant;
use super::hear::Entry;
use super::holdings::Holdings;
use super::leftovers::clear_fallen;
use super::listeners::Listeners;
use super::rights::Layout;
use super::serve::MqttInside;
use super::session::Context;
use super::sink::Sink;
use super::terms::Terms;
use super::tokens::Tokens;
use super::upstream::MqttUpstream;
use crate::accept::limits::Limits;
use crate::accept::{EntryTerms, Frontage, FrontageTerms};
use crate::admit::{Floor, Requirement};
use crate::door::{DoorError, DoorHandle, DoorInputs, Frame, open, spawn};
use crate::report::Reports;

/// How an MQTT door behaves.
#[derive(Debug)]
pub struct MqttDoorConfig {
    /// Where it listens; port 0 takes a free one.
    pub addresses: Vec<SocketAddr>,
    /// How many threads serve it, each with sockets of its own.
    pub workers: NonZeroUsize,
    /// How long a PROXY header and a TLS handshake may take together.
    pub handshake_timeout: Duration,
    /// How many connections it holds.
    pub limits: Limits,
    /// The networks whose connections begin with a PROXY header; all others must not.
    pub proxy_networks: Vec<IpNet>,
    /// What stands behind it.
    pub upstream: MqttUpstream,
    /// Where the topics of devices are.
    pub layout: Layout,
    /// What one device may take.
    pub terms: Terms,
    /// What services may, in the order in which it is looked whom a grant fits. A hub has nothing for them.
    pub grants: Vec<Grant>,
    /// Where accepted messages go besides.
    pub sink: Option<Arc<dyn Sink>>,
    /// Who is told of devices that begin to listen.
    pub listeners: Option<Arc<Listeners>>,
    /// Who knows devices by their provisioning tokens. With one, a token is asked for in the place of a
    /// certificate, and nothing is granted to services.
    pub tokens: Option<Arc<dyn Tokens>>,
    /// Whether whoever is behind it sees the tokens in payloads.
    pub payload_tokens: PayloadTokens,
    /// What devices hold here, and at doors with the same.
    pub holdings: Arc<Holdings>,
}

/// Whether whoever is behind a door sees the provisioning tokens in payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PayloadTokens {
    /// Devices that send some show them to the broker.
    #[default]
    PassedOn,
    /// The broker sees none. A message that may hold one which cannot be taken out goes nowhere.
    TakenOut,
}

impl MqttDoorConfig {
    /// A door at this address to this upstream.
    #[must_use]
    pub fn new(address: SocketAddr, upstream: MqttUpstream) -> Self {
        Self {
            addresses: vec![address],
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            handshake_timeout: Duration::from_secs(5),
            limits: Limits::default(),
            proxy_networks: Vec::new(),
            upstream,
            layout: Layout::default(),
            terms: Terms::default(),
            grants: Vec::new(),
            sink: None,
            listeners: None,
            tokens: None,
            payload_tokens: PayloadTokens::default(),
            holdings: Holdings::new(),
        }
    }
}

/// A listener for MQTT over TLS that admits or refuses each topic.
#[derive(Debug)]
pub struct MqttDoor;

impl MqttDoor {
    /// Opens the door: binds its addresses and starts its threads. A control plane in this process is of no
    /// use to it.
    ///
    /// # Errors
    /// Fails closed: a door with an unusable address, rule or TLS setting is not opened.
    pub fn start(config: MqttDoorConfig, inputs: DoorInputs) -> Result<DoorHandle, DoorError> {
        Self::start_on(config, inputs, Vec::new())
    }

    /// The same on sockets that were handed over, if there are any; the addresses are not bound then.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        config: MqttDoorConfig,
        inputs: DoorInputs,
        sockets: Vec<TcpListener>,
    ) -> Result<DoorHandle, DoorError> {
        let current = inputs.current()?;
        // A fallen device is told so in MQTT's own words, after the handshake.
        let client_auth = if config.tokens.is_some() { ClientAuth::None } else { ClientAuth::Optional };
        let tls = inputs.tls(client_auth)?.with_protocols(&[]);
        let context = Arc::new(Context {
            terms: config.terms,
            holdings: config.holdings,
            listeners: config.listeners,
            is_tapped: config.sink.is_some(),
            payload_tokens: config.payload_tokens,
        });
        let cleared = clear_fallen(Arc::clone(&context), config.upstream.clone(), inputs.snapshots.clone());
        spawn("mqtt-leftovers".to_owned(), move |runtime| runtime.block_on(cleared))?;
        let guests = config.grants.iter().flat_map(Grant::guests).collect();
        let entry = match config.tokens {
            Some(tokens) => Entry::Tokens(tokens),
            None => Entry::Certificates {
                requirement: Requirement::upstream(Enforcement::Enforce, Floor::Kept),
                grants: config.grants,
            },
        };
        let inside = MqttInside {
            current: Arc::clone(&current),
            clock: Arc::clone(&inputs.clock),
            reports: Reports::new(inputs.reports.clone(), Arc::clone(&inputs.counts)),
            entry,
            upstream: config.upstream,
            layout: config.layout,
            context,
            sink: config.sink,
        };
        let terms = FrontageTerms {
            policies: HostPolicies::new(client_auth),
            guests,
            entry: EntryTerms {
                proxy_networks: config.proxy_networks,
                handshake_timeout: config.handshake_timeout,
            },
            limits: config.limits,
        };
        let frontage = Frontage::new(tls, terms);
        let frame = Frame { addresses: config.addresses, sockets, workers: config.workers, frontage };
        open(frame, inside, current, inputs)
    }
}
