//! What people write about a tunnel's far end: where it is, and by which key it is known.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::ids::SpkiSha256;
use thiserror::Error;

/// Where a tunnel leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The door's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name that its certificate must be for.
    pub server_name: String,
}

/// A text that is no host and port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a host and port, such as edge.example.com:8443: {0:?}")]
pub struct DestinationError(String);

impl FromStr for Destination {
    type Err = DestinationError;

    /// `HOST:PORT`, an IPv6 address in brackets; the name in its certificate is the host's.
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let refused = || DestinationError(text.chars().take(160).collect());
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        // Without brackets nobody can tell where an IPv6 address ends.
        let host = match bracketed {
            Some(address) if address.parse::<std::net::Ipv6Addr>().is_ok() => address,
            None if !host.contains(':') => host,
            Some(_) | None => return Err(refused()),
        };
        rustls::pki_types::ServerName::try_from(host).map_err(|_invalid| refused())?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(refused)?;
        Ok(Self { host: host.to_owned(), port, server_name: host.to_owned() })
    }
}

impl Destination {
    /// The same, its certificate being for another name.
    #[must_use]
    pub fn named(self, server_name: Option<&str>) -> Self {
        match server_name {
            Some(name) => Self { server_name: name.to_owned(), ..self },
            None => self,
        }
    }

    /// What an HTTP request calls it.
    pub(super) fn authority(&self) -> String {
        authority(&self.server_name, self.port)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&authority(&self.host, self.port))
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A text that is no pin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not the SHA-256 of a public key, in hex or base64: {0:?}")]
pub struct PinError(String);

/// Reads the SHA-256 of a public key: hex or base64, also as `sha256/…` or `sha256//…`.
///
/// # Errors
/// Refuses whatever is not 32 octets.
pub fn pin(text: &str) -> Result<SpkiSha256, PinError> {
    let bare = text.strip_prefix("sha256//").or_else(|| text.strip_prefix("sha256/")).unwrap_or(text);
    if let Ok(pin) = bare.parse::<SpkiSha256>() {
        return Ok(pin);
    }
    let bytes = STANDARD.decode(bare).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(SpkiSha256::from).ok_or_else(|| PinError(text.chars().take(160).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_host_and_a_port() {
        for (text, host) in
            [("edge.example.com:8443", "edge.example.com"), ("192.0.2.7:1", "192.0.2.7"), ("[::1]:2", "::1")]
        {
            let to: Destination = text.parse().unwrap();
            assert_eq!((to.to_string().as_str(), to.server_name.as_str()), (text, host));
            let named = to.named(Some("door.example.com"));
            assert_eq!(named.to_string(), text);
            assert!(named.authority().starts_with("door.example.com:"));
        }
        for text in
            ["", "edge", "edge:0", "edge:99999", "::1:443", "[edge]:1", ":1", "https://edge:1", "a b:1"]
        {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pin_is_the_same_in_hex_and_base64() {
        let wanted = SpkiSha256::from([7; 32]);
        let base64 = STANDARD.encode([7; 32]);
        for text in
            [wanted.to_string(), base64.clone(), format!("sha256//{base64}"), format!("sha256/{base64}")]
        {
            assert_eq!(pin(&text), Ok(wanted), "{text}");
        }
        for text in ["", "00", "AAAA", "sha256//"] {
            assert!(pin(text).is_err(), "{text}");
        }
    }
}
