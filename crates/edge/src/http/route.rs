//! What stands behind a door: host and path prefix → upstream.

use std::sync::Arc;

use countersign_core::access::Place;
use countersign_core::guest::GuestOf;
use countersign_core::settings::Enforcement;
use countersign_tls::ServerCredentials;

use super::group::UpstreamGroup;
use super::members::Group;
use crate::admit::{Floor, Requirement};
use crate::audience::Audience;
use crate::door::{DoorError, LocalControlPlane};
use crate::front::screen::{RouteScreen, Screen};
use crate::url::{NormalisedPath, OddPaths, agent_place};

/// Where requests for a host and path prefix go, and what they need to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The host; `None`: any. A route for a host outweighs one for any.
    pub host: Option<String>,
    /// The beginning of the path, whole segments: `/api` is the beginning of `/api/x` and not of
    /// `/apix`. The longest outweighs.
    pub path_prefix: String,
    /// Where to.
    pub upstream: Upstream,
    /// Whether an identity is required. Of no meaning in front of the control plane, which applies
    /// the tenant's mode itself.
    pub identity: Enforcement,
    /// Whom it admits, where an identity is required; `None`: every device, and nobody else. Of no meaning
    /// in front of the control plane, which knows devices alone.
    pub audience: Option<Arc<Audience>>,
    /// Paths, exact, that need no identity and refuse no fallen one: whoever is behind them decides.
    pub renewal_paths: Vec<String>,
    /// What is asked of clients besides an identity.
    pub screen: RouteScreen,
}

/// What answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The control plane in this process.
    ControlPlane,
    /// HTTP servers.
    Http(Box<UpstreamGroup>),
}

impl From<UpstreamGroup> for Upstream {
    fn from(group: UpstreamGroup) -> Self {
        Self::Http(Box::new(group))
    }
}

impl Route {
    /// The routes of the control plane: the agent endpoints, those of edges, the public PKI, and the health check.
    #[must_use]
    pub fn control_plane() -> Vec<Self> {
        ["/api/v1/agents", "/api/v1/edges", "/api/audit", "/pki", "/health"]
            .map(|prefix| Self {
                host: None,
                path_prefix: prefix.to_owned(),
                upstream: Upstream::ControlPlane,
                identity: Enforcement::Off,
                audience: None,
                renewal_paths: Vec::new(),
                screen: RouteScreen::default(),
            })
            .into()
    }
}

/// Where a checked route leads.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    ControlPlane(LocalControlPlane),
    Http(Arc<Group>),
}

/// A checked route.
#[derive(Clone, Debug)]
pub(crate) struct ServedRoute {
    host: Option<String>,
    pub(crate) prefix: String,
    pub(crate) target: Target,
    identity: Enforcement,
    audience: Option<Arc<Audience>>,
    renewal_paths: Vec<String>,
    pub(crate) screen: Option<Screen>,
}

impl ServedRoute {
    /// What a path behind this route asks of whoever wants to reach it.
    pub(crate) fn requirement(&self, path: &NormalisedPath) -> Requirement {
        match &self.target {
            Target::ControlPlane(_) => Requirement::control_plane(self.place(path)),
            Target::Http(_) => {
                let is_renewal = self.renewal_paths.iter().any(|renewal| renewal == path.path());
                let floor = if is_renewal { Floor::Waived } else { Floor::Kept };
                Requirement::upstream(self.identity, floor).admitting(self.audience.clone())
            }
        }
    }

    /// Which of our own routes a path behind this route is, if any.
    pub(crate) fn place(&self, path: &NormalisedPath) -> Place {
        match &self.target {
            Target::ControlPlane(_) => agent_place(path).unwrap_or(Place::Upstream),
            Target::Http(_) => Place::Upstream,
        }
    }

    fn leads(&self, host: &str, path: &str) -> bool {
        let is_host = self.host.as_deref().is_none_or(|own| own == host);
        is_host
            && path
                .strip_prefix(&*self.prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.prefix.ends_with('/'))
    }
}

/// The routes of a door, weightiest first.
#[derive(Debug)]
pub(crate) struct Routes {
    served: Vec<ServedRoute>,
    members: usize,
    /// What they were made from.
    configured: Vec<Route>,
}

impl Routes {
    /// # Errors
    /// Refuses a prefix that no normalised path begins with, upstreams that cannot be spoken to, and routes
    /// to a control plane that is not there. `door` is what the door shows its clients.
    pub(crate) fn new(
        routes: &[Route],
        local: Option<&LocalControlPlane>,
        door: Option<&Arc<ServerCredentials>>,
    ) -> Result<Self, DoorError> {
        let mut members = 0_usize;
        let mut served = Vec::with_capacity(routes.len());
        for route in routes {
            let route = check(route, local, (members, door))?;
            if let Target::Http(group) = &route.target {
                members = members.saturating_add(group.members().len());
            }
            served.push(route);
        }
        served.sort_by_key(|route| (route.host.is_none(), std::cmp::Reverse(route.prefix.len())));
        Ok(Self { served, members, configured: routes.to_vec() })
    }

    pub(crate) fn find(&self, host: &str, path: &NormalisedPath) -> Option<&ServedRoute> {
        self.served.iter().find(|route| route.leads(host, path.path()))
    }

    /// Whether these are the ones that would be made from `routes`.
    pub(crate) fn are(&self, routes: &[Route]) -> bool {
        self.configured == routes
    }

    /// Takes over what is known of the health of upstreams that are here too.
    pub(crate) fn remember(&self, old: &Self) {
        let known: Vec<_> = old.groups().flat_map(|group| group.members()).collect();
        // Where nobody checks any more, nobody would find it well again.
        let checked = self.groups().filter(|group| group.health.is_some());
        for member in checked.flat_map(|group| group.members()) {
            if let Some(same) = known.iter().find(|known| known.address == member.address) {
                member.remember(same);
            }
        }
    }

    /// How many upstreams there are.
    pub(crate) const fn members(&self) -> usize {
        self.members
    }

    /// The groups of upstreams.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.served.iter().filter_map(|route| match &route.target {
            Target::Http(group) => Some(group),
            Target::ControlPlane(_) => None,
        })
    }

    /// The guests whom any route admits.
    pub(crate) fn guests(&self) -> Vec<GuestOf> {
        let all = self.served.iter().filter_map(|route| route.audience.as_ref());
        all.flat_map(|audience| audience.guests.iter().cloned()).collect()
    }

    /// Whether any route is for this host by name.
    pub(crate) fn names(&self, host: &str) -> bool {
        self.served.iter().any(|route| route.host.as_deref() == Some(host))
    }
}

fn check(
    route: &Route,
    local: Option<&LocalControlPlane>,
    (first, door): (usize, Option<&Arc<ServerCredentials>>),
) -> Result<ServedRoute, DoorError> {
    let refuse = |reason| DoorError::Route { prefix: route.path_prefix.clone(), reason };
    for path in std::iter::once(&route.path_prefix).chain(&route.renewal_paths) {
        let normal = NormalisedPath::parse(path, OddPaths::Refused);
        if !normal.is_ok_and(|normal| normal.path() == path) {
            return Err(refuse("a path is not in its normal form"));
        }
    }
    let target = match &route.upstream {
        Upstream::ControlPlane => Target::ControlPlane(
            local.cloned().ok_or_else(|| refuse("there is no control plane in this process"))?,
        ),
        Upstream::Http(group) => {
            let unusable = |source| DoorError::Upstreams { prefix: route.path_prefix.clone(), source };
            Target::Http(Arc::new(Group::new(group, first, door).map_err(unusable)?))
        }
    };
    let host = route.host.as_ref().map(|host| host.to_ascii_lowercase());
    Ok(ServedRoute {
        screen: Screen::of_route(&route.screen, host.as_deref(), &route.path_prefix),
        host,
        prefix: route.path_prefix.clone(),
        target,
        identity: route.identity,
        audience: route.audience.clone(),
        renewal_paths: route.renewal_paths.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: Option<&str>, prefix: &str, renewal: &[&str]) -> Route {
        Route {
            host: host.map(str::to_owned),
            path_prefix: prefix.to_owned(),
            upstream: Upstream::from(UpstreamGroup::new(vec!["http://127.0.0.1:1".parse().unwrap()])),
            identity: Enforcement::Enforce,
            audience: None,
            renewal_paths: renewal.iter().map(|path| (*path).to_owned()).collect(),
            screen: RouteScreen::default(),
        }
    }

    fn path(text: &str) -> NormalisedPath {
        NormalisedPath::parse(text, OddPaths::Refused).unwrap()
    }

    #[test]
    fn the_own_host_and_then_the_longest_prefix_win() {
        let all = [route(None, "/", &[]), route(None, "/api/v1", &[]), route(Some("A.example"), "/api", &[])];
        let routes = Routes::new(&all, None, None).unwrap();
        let found = |host, text| routes.find(host, &path(text)).map(|route| route.prefix.clone());
        assert_eq!(found("b.example", "/api/v1/x").as_deref(), Some("/api/v1"));
        assert_eq!(found("b.example", "/api/v10").as_deref(), Some("/"));
        assert_eq!(found("a.example", "/api/v1/x").as_deref(), Some("/api"));
        assert!(routes.names("a.example") && !routes.names("b.example"));
    }

    #[test]
    fn only_exact_renewal_paths_waive_the_floor() {
        let routes = Routes::new(&[route(None, "/", &["/renew"])], None, None).unwrap();
        let floor = |text| routes.find("x", &path(text)).unwrap().requirement(&path(text)).floor;
        assert_eq!(floor("/renew"), Floor::Waived);
        assert_eq!(floor("/a/../renew"), Floor::Waived);
        for other in ["/renew/", "/renew/x", "/x/renew", "/Renew"] {
            assert_eq!(floor(other), Floor::Kept, "{other}");
        }
    }

    #[test]
    fn refuses_routes_that_could_not_work() {
        let mut foreign = route(None, "/", &[]);
        for upstreams in [vec![], vec!["https://nobody.vouches.for".parse().unwrap()]] {
            foreign.upstream = Upstream::from(UpstreamGroup::new(upstreams));
            assert!(Routes::new(std::slice::from_ref(&foreign), None, None).is_err());
        }
        for prefix in ["", "api", "/a//b", "/a/../b", "/a%2fb"] {
            assert!(Routes::new(&[route(None, prefix, &[])], None, None).is_err(), "{prefix}");
        }
        assert!(Routes::new(&Route::control_plane(), None, None).is_err());
    }
}
