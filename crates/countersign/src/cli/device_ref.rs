//! How a device is named on the command line: by its id, by its name, or by tenant and name.

use std::str::FromStr;

use anyhow::anyhow;
use countersign_api::wire::admin::{DeviceBody, DeviceList};
use countersign_core::ids::{DeviceId, DeviceName, Tenant};
use http::Method;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::query::Query;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeviceRef {
    /// By its id.
    Id(DeviceId),
    /// By its name; of any tenant that the caller sees when none is named.
    Named(Option<Tenant>, DeviceName),
}

impl FromStr for DeviceRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let (tenant, name) = match text.split_once('/') {
            Some((tenant, name)) => (Some(tenant.parse().map_err(|error| format!("{error}"))?), name),
            None => (None, text),
        };
        Ok(Self::Named(tenant, name.parse().map_err(|error| format!("{error}"))?))
    }
}

impl std::fmt::Display for DeviceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Named(Some(tenant), name) => write!(f, "{tenant}/{name}"),
            Self::Named(None, name) => write!(f, "{name}"),
        }
    }
}

impl DeviceRef {
    /// The device that is meant.
    ///
    /// # Errors
    /// Fails closed: when two tenants have a device of this name, neither is meant.
    pub(super) fn find(&self, server: &AdminServer) -> Result<DeviceId, Failure> {
        let (tenant, name) = match self {
            Self::Id(id) => return Ok(*id),
            Self::Named(tenant, name) => (tenant, name),
        };
        let mut found: Vec<DeviceBody> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let query = Query::of("/devices").by("q", Some(name)).by("tenant", tenant.as_ref());
            let query = query.by("limit", Some(&500)).by("cursor", cursor.as_ref());
            let page: DeviceList = server.ask(Method::GET, query.path(), "")?;
            found.extend(page.devices.into_iter().filter(|device| device.name == *name));
            cursor = page.next_cursor;
            if cursor.is_none() || found.len() > 1 {
                break;
            }
        }
        match found.as_slice() {
            [one] => Ok(one.id),
            [] => Err(Failure::from(anyhow!("there is no device {self}"))
                .hint("`countersign device list` shows them all")),
            [first, second, ..] => {
                let error =
                    anyhow!("there are several devices {self}: of {} and of {}", first.tenant, second.tenant);
                Err(Failure::bad_usage(error).hint("name it as TENANT/NAME"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_in_three_ways() {
        for text in ["0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40", "ws-01", "acme/ws-01"] {
            assert_eq!(text.parse::<DeviceRef>().unwrap().to_string(), text);
        }
        for text in ["", "ACME/ws-01", "acme/", "a b", "acme/ws/01"] {
            assert!(text.parse::<DeviceRef>().is_err(), "{text}");
        }
    }
}
