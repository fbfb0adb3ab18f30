//! What a door and a route ask of clients besides an identity.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, header};
use ipnet::IpNet;

use super::cors::{self, CorsReply, WebOrigin};
use super::entry::Entry;
use super::meter::Meter;
use super::rate::Rate;
use crate::accept::limits::place_of;
use crate::counts::RouteClass;
use crate::http::host::RequestedHost;

/// How often clients may ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestRates {
    /// From one IPv4 address or one IPv6 /64.
    pub per_address: Option<Rate>,
    /// With certificates of one identity; whoever shows none is counted by address alone.
    pub per_identity: Option<Rate>,
}

/// Whether the door adds security headers to an upstream's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecurityHeaders {
    /// They go out as the upstream wrote them.
    #[default]
    AsSent,
    /// Those that the upstream has not set are added.
    Added,
}

/// What a route asks of clients besides an identity; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteScreen {
    /// How often they may ask.
    pub rates: RequestRates,
    /// The networks they may come from; empty: any.
    pub allow_from: Vec<IpNet>,
    /// The web pages of other origins that may use it; empty: the upstream deals with origins.
    pub cors_origins: Vec<WebOrigin>,
    /// Whether security headers are added.
    pub security_headers: SecurityHeaders,
}

/// Why a client gets no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screened {
    /// It may come again then.
    TooOften(Duration),
    /// It does not come from a network that may.
    Address,
    /// It is a web page that may not.
    Origin,
}

/// What a screen is counted under.
#[derive(Clone, Copy, Debug, Hash)]
enum Scope {
    Door,
    Route(u64),
}

/// A screen and its scope.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    asked: RouteScreen,
    scope: Scope,
}

impl Screen {
    /// That of a door; `None`: it asks for nothing.
    pub(crate) fn of_door(rates: RequestRates) -> Option<Self> {
        let asked = RouteScreen { rates, ..RouteScreen::default() };
        (asked != RouteScreen::default()).then_some(Self { asked, scope: Scope::Door })
    }

    /// That of the route for a host and a path; `None`: it asks for nothing.
    pub(crate) fn of_route(asked: &RouteScreen, host: Option<&str>, prefix: &str) -> Option<Self> {
        let mut hasher = DefaultHasher::new();
        (host, prefix).hash(&mut hasher);
        let scope = Scope::Route(hasher.finish());
        (*asked != RouteScreen::default()).then(|| Self { asked: asked.clone(), scope })
    }

    /// Whether a client at `address` may ask now.
    pub(crate) fn of_address(&self, address: IpAddr, meter: &Meter) -> Result<(), Screened> {
        let networks = &self.asked.allow_from;
        if !networks.is_empty() && !networks.iter().any(|network| network.contains(&address)) {
            return Err(Screened::Address);
        }
        let Some(rate) = self.asked.rates.per_address else { return Ok(()) };
        meter.take((self.scope, place_of(address)), rate).map_err(Screened::TooOften)
    }

    /// Whether `identity` may ask now.
    pub(crate) fn of_identity(&self, identity: &impl std::hash::Hash, meter: &Meter) -> Result<(), Screened> {
        let Some(rate) = self.asked.rates.per_identity else { return Ok(()) };
        meter.take((self.scope, identity), rate).map_err(Screened::TooOften)
    }

    /// Whether it matters whose certificate it is.
    pub(crate) const fn asks_for_identity(&self) -> bool {
        self.asked.rates.per_identity.is_some()
    }

    /// What becomes of a request that a web page may have sent.
    pub(crate) fn of_page<B>(
        &self,
        request: &Request<B>,
        host: &RequestedHost,
    ) -> Result<Option<CorsReply>, Screened> {
        if self.asked.cors_origins.is_empty() {
            return Ok(None);
        }
        let reply = cors::judge(&self.asked.cors_origins, request, host);
        reply.map(Some).map_err(|_refused| Screened::Origin)
    }

    /// Whether security headers are added.
    pub(crate) const fn security_headers(&self) -> SecurityHeaders {
        self.asked.security_headers
    }
}

/// What is added to the answer to a request, once it is known.
#[derive(Debug, Default)]
pub(crate) struct Afterwards {
    /// About its origin.
    pub(crate) cors: Option<Box<CorsReply>>,
    /// About how a browser is to treat it.
    pub(crate) security_headers: SecurityHeaders,
    /// What is written down of it.
    pub(crate) entry: Option<Box<Entry>>,
    /// For what it came.
    pub(crate) class: RouteClass,
}

impl Afterwards {
    pub(crate) fn write(&mut self, headers: &mut HeaderMap) {
        if let Some(cors) = self.cors.take() {
            cors.write(headers);
        }
        match self.security_headers {
            SecurityHeaders::AsSent => {}
            SecurityHeaders::Added => secure_page(headers),
        }
    }
}

/// The security headers of what people may look at in a browser, those that are not there.
fn secure_page(headers: &mut HeaderMap) {
    let defaults = [
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
