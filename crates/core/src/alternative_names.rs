//! The names under which a service is known and reached.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A service's alternative names, as its certificate has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct AlternativeNames {
    /// URIs.
    pub uris: Vec<String>,
    /// Host names.
    pub dns: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
}

impl AlternativeNames {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.uris.is_empty() && self.dns.is_empty() && self.ips.is_empty()
    }
}

/// `DNS:a.example, IP:192.0.2.1, URI:…`.
impl fmt::Display for AlternativeNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dns = self.dns.iter().map(|name| format!("DNS:{name}"));
        let ips = self.ips.iter().map(|address| format!("IP:{address}"));
        let uris = self.uris.iter().map(|uri| format!("URI:{uri}"));
        f.write_str(&dns.chain(ips).chain(uris).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_print_and_read_back() {
        let names = AlternativeNames {
            uris: vec!["spiffe://example.com/service/web".to_owned()],
            dns: vec!["web.example.com".to_owned()],
            ips: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        };
        let printed =
            "DNS:web.example.com, IP:192.0.2.1, IP:2001:db8::1, URI:spiffe://example.com/service/web";
        assert_eq!(names.to_string(), printed);
        let text = serde_json::to_string(&names).unwrap();
        assert_eq!(serde_json::from_str::<AlternativeNames>(&text).unwrap(), names);
        assert!(serde_json::from_str::<AlternativeNames>("{}").unwrap().is_empty());
    }
}
