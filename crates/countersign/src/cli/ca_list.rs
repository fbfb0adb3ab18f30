//! `countersign ca tree` and `ca show`, also beside a running server.

use std::fmt::Write as _;

use anyhow::Context as _;
use countersign_authority::crl::due::{CrlFault, worst_list};
use countersign_ca::CertificateFacts;
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::{CaName, IssuerKeyId};
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use countersign_store::{CrlName, CrlRow, IssuedCount, IssuerRow, KeptKey, Store, StoreError, StoreUrl};
use serde_json::{Value, json};

use super::ca_arguments::{CaShowArguments, CaTreeArguments};
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};

/// A CA and what there is to say of it.
pub(super) struct Listed {
    pub(super) row: IssuerRow,
    pub(super) facts: CertificateFacts,
    live: u64,
    /// Of a CA whose key is offline: until when its revocation lists last, and what is wrong with one.
    ahead: Option<(Timestamp, Option<CrlFault>)>,
}

/// The list of everything that a CA has revoked, as it was signed last.
pub(super) struct PublishedCrl {
    pub(super) list: CrlRow,
    /// It may lack what was revoked last.
    pub(super) is_behind: bool,
}

/// Reads every CA.
pub(super) async fn listed(database: &StoreUrl, now: Timestamp) -> Result<Vec<Listed>, Failure> {
    let store = Store::open_for_reading(database).await.context("open the database")?;
    let read = store
        .read(move |r| {
            Box::pin(async move {
                let rows = r.issuers().await?;
                let lists = (r.crl_dates().await?, r.crl_marks(None).await?);
                Ok::<_, StoreError>((rows, r.live_certificates(now).await?, lists))
            })
        })
        .await;
    store.close().await;
    let (mut rows, counts, (dates, marks)) = read.context("read the CAs")?;
    // Those that were made together have one time.
    rows.sort_by(|one, other| (one.created_at, &one.name).cmp(&(other.created_at, &other.name)));
    rows.into_iter()
        .map(|row| {
            let facts = CertificateFacts::of(&row.certificate);
            let facts = facts.with_context(|| format!("read the certificate of the CA {}", row.name))?;
            let live = live_of(&counts, row.key_id);
            let is_away = row.key == KeptKey::Offline;
            let ahead = is_away.then(|| worst_list(row.key_id, &dates, &marks, now)).flatten();
            Ok(Listed { row, facts, live, ahead })
        })
        .collect()
}

/// The latest list of everything that a CA has revoked, if it has signed one.
pub(super) async fn latest_crl(
    database: &StoreUrl,
    issuer: IssuerKeyId,
) -> Result<Option<PublishedCrl>, Failure> {
    let whole = CrlName { issuer, scope: CrlScope::Whole };
    let store = Store::open_for_reading(database).await.context("open the database")?;
    let crl: Result<_, StoreError> = store
        .read(move |r| {
            Box::pin(async move {
                let Some(list) = r.latest_crl(whole).await? else { return Ok(None) };
                // Lists of shards are signed at once, the whole one when somebody wants it from the server.
                let is_behind = !r.crl_marks(Some(issuer)).await?.is_empty()
                    || r.highest_shard_number(issuer).await? > list.number;
                Ok(Some(PublishedCrl { list, is_behind }))
            })
        })
        .await;
    store.close().await;
    Ok(crl.context("read the revocation list")?)
}

/// One of them, by name.
pub(super) fn named<'a>(all: &'a [Listed], name: &CaName) -> Result<&'a Listed, Failure> {
    all.iter().find(|ca| ca.row.name == *name).ok_or_else(|| {
        Failure::bad_answer(format!("there is no CA {name}")).hint("`countersign ca tree` shows them all")
    })
}

fn live_of(counts: &[IssuedCount], ca: IssuerKeyId) -> u64 {
    counts.iter().find(|count| count.issuer == ca).map_or(0, |count| count.live)
}

/// Draws the tree.
pub(super) fn tree(arguments: CaTreeArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let now = SystemClock.now();
    let all = block_on(listed(&config.database, now))?;
    if arguments.json {
        let all: Vec<_> = all.iter().map(|ca| as_json(ca, &all)).collect();
        return Ok(print_json(&json!({ "cas": all }))?);
    }
    let mut text = String::new();
    for ca in &all {
        let is_top = !all.iter().any(|other| Some(other.row.key_id) == ca.row.parent);
        if is_top {
            let _written = writeln!(text, "{}", line(ca, now));
            draw(&mut text, &all, (ca, ""), now);
        }
    }
    Ok(print(&text)?)
}

fn draw(text: &mut String, all: &[Listed], (above, indent): (&Listed, &str), now: Timestamp) {
    let is_below =
        |ca: &&Listed| ca.row.parent == Some(above.row.key_id) && ca.row.key_id != above.row.key_id;
    let below: Vec<&Listed> = all.iter().filter(is_below).collect();
    for (place, ca) in below.iter().enumerate() {
        let (branch, next) =
            if place + 1 == below.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
        let _written = writeln!(text, "{indent}{branch}{}", line(ca, now));
        draw(text, all, (ca, &format!("{indent}{next}")), now);
    }
}

fn line(ca: &Listed, now: Timestamp) -> String {
    let row = &ca.row;
    let ended = if ca.facts.not_after < now { " (over)" } else { "" };
    let environment = row.environment.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    let certificates = if ca.live == 1 { "certificate" } else { "certificates" };
    let ahead = ca.ahead.as_ref().map(|ahead| format!(" (CRL {})", crl_in_words(*ahead)));
    format!(
        "{}: {}{environment}, {}, until {}{ended}, key {}{}, {} live {certificates}",
        row.name,
        row.role,
        row.state,
        day(ca.facts.not_after),
        place(&row.key),
        ahead.unwrap_or_default(),
        ca.live
    )
}

/// `until 2027-11-22`, and what is wrong with it.
fn crl_in_words((until, fault): (Timestamp, Option<CrlFault>)) -> String {
    let wrong = match fault {
        None => "",
        Some(CrlFault::EndsSoon) => ", ends soon: its key is needed",
        Some(CrlFault::Over) => ", over: its key is needed",
        Some(CrlFault::Lacks) => ", lacks a revoked CA: its key is needed",
    };
    format!("until {}{wrong}", day(until))
}

/// The day of a moment.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take_while(|character| *character != 'T').collect()
}

fn place(key: &KeptKey) -> String {
    match key {
        KeptKey::Pkcs11(uri) => uri.clone(),
        KeptKey::Sealed(_) | KeptKey::Offline => key.custody().to_owned(),
    }
}

/// Shows one CA.
pub(super) fn show(arguments: CaShowArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let all = block_on(listed(&config.database, SystemClock.now()))?;
    let ca = named(&all, &arguments.name)?;
    if arguments.json {
        return Ok(print_json(&as_json(ca, &all))?);
    }
    let parent = parent_of(ca, &all).map_or_else(|| "none".to_owned(), ToString::to_string);
    let environment = ca.row.environment.as_ref().map_or_else(|| "default".to_owned(), ToString::to_string);
    let rows = [
        ("name", ca.row.name.to_string()),
        ("role", ca.row.role.to_string()),
        ("subject", ca.facts.subject.clone()),
        ("parent", parent),
        ("environment", environment),
        ("state", ca.row.state.to_string()),
        ("origin", ca.row.origin.to_string()),
        ("valid", format!("{} to {}", ca.facts.not_before, ca.facts.not_after)),
        ("key", format!("{}, {}", ca.facts.key.algorithm(), place(&ca.row.key))),
        ("key id", ca.row.key_id.to_string()),
        ("live", ca.live.to_string()),
    ];
    let crl = ca.ahead.map(|ahead| ("crl", crl_in_words(ahead)));
    let text: String = rows.iter().chain(&crl).map(|(key, value)| format!("{key:<12} {value}\n")).collect();
    Ok(print(&text)?)
}

fn parent_of<'a>(ca: &Listed, all: &'a [Listed]) -> Option<&'a CaName> {
    let parent = ca.row.parent?;
    all.iter().find(|other| other.row.key_id == parent).map(|other| &other.row.name)
}

fn as_json(ca: &Listed, all: &[Listed]) -> Value {
    let location = match &ca.row.key {
        KeptKey::Pkcs11(uri) => Some(uri),
        KeptKey::Sealed(_) | KeptKey::Offline => None,
    };
    json!({
        "name": ca.row.name,
        "role": ca.row.role.as_str(),
        "parent": parent_of(ca, all),
        "environment": ca.row.environment,
        "state": ca.row.state.as_str(),
        "origin": ca.row.origin.as_str(),
        "subject": ca.facts.subject,
        "notBefore": ca.facts.not_before,
        "notAfter": ca.facts.not_after,
        "keyId": ca.row.key_id,
        "keyAlgorithm": ca.facts.key.algorithm().to_string(),
        "custody": ca.row.key.custody(),
        "keyLocation": location,
        "liveCertificates": ca.live,
        "crlUntil": ca.ahead.map(|(until, _fault)| until),
        "crlFault": ca.ahead.and_then(|(_until, fault)| fault).map(CrlFault::as_str),
    })
}
