//! `countersign cert list`, and how certificates of services are listed.

use std::fmt::Write as _;

use countersign_api::wire::service_certificates::{ServiceCertificateBody, ServiceCertificateList};
use countersign_core::time::{Clock as _, SystemClock};
use http::Method;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::output::{print, print_json};
use super::service_arguments::{CertListArguments, PageFlags};

/// Lists certificates of services.
pub(super) fn run(arguments: &CertListArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let until = |within| (SystemClock.now() + std::time::Duration::from_secs(within)).to_string();
    let filters = [
        ("ca", arguments.ca.as_ref().map(ToString::to_string)),
        ("label", arguments.label.as_ref().map(ToString::to_string)),
        ("state", arguments.state.map(|state| state.as_str().to_owned())),
        ("expiresBefore", arguments.expires_within.map(until)),
    ];
    let list = list(&server, &filters, &arguments.page)?;
    if arguments.server.json { Ok(print_json(&list)?) } else { Ok(print(&text(&list))?) }
}

/// A page of certificates of services. No value has anything in it that a query could trip over.
pub(super) fn list(
    server: &AdminServer,
    filters: &[(&str, Option<String>)],
    page: &PageFlags,
) -> Result<ServiceCertificateList, Failure> {
    let mut path = format!("/service-certificates?limit={}", page.limit);
    let cursor = ("cursor", page.cursor.clone());
    for (name, value) in filters.iter().chain([&cursor]) {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _written = write!(path, "&{name}={value}");
        }
    }
    server.ask(Method::GET, &path, "")
}

/// For people: a line each.
pub(super) fn text(list: &ServiceCertificateList) -> String {
    let rows: Vec<[String; 6]> = list.certificates.iter().map(row).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _written = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    if let Some(cursor) = &list.next_cursor {
        let _written = writeln!(text, "more: --cursor {cursor}");
    }
    text
}

fn row(one: &ServiceCertificateBody) -> [String; 6] {
    let named = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
    [
        one.id.to_string(),
        named(one.label.as_ref().map(ToString::to_string)),
        one.profile.clone(),
        one.ca.as_ref().map_or_else(|| "imported".to_owned(), |ca| format!("by {ca}")),
        one.state.clone(),
        format!("until {}", one.expires_at),
    ]
}
