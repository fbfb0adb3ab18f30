//! Enrolment keys: those there are, making one, which is shown once, and revoking one.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::enrollment_keys::{Approval, CreatedKey, EnrollmentKeyRow, WantedKey};
use countersign_authority::{Operate, View};
use countersign_core::time::Timestamp;
use maud::{Markup, html};

use crate::console::error_page::Rendered;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::icons::Icon;
use crate::console::layout::{live, page};
use crate::console::parts::{ago, copyable, empty, exactly, head, picture, pill, problems, short, until};
use crate::console::visit::Visit;
use crate::failure::{Failure, Outcome};
use crate::request::{QueryFields, Segment, named};
use crate::state::ControlPlane;

/// How many keys are shown; those before are of interest to nobody but the audit.
const SHOWN: usize = 100;

/// For how long a key may be made.
const LIVES: [(u64, &str); 5] = [
    (60, "1 hour"),
    (24 * 60, "1 day"),
    (7 * 24 * 60, "7 days"),
    (30 * 24 * 60, "30 days"),
    (365 * 24 * 60, "a year"),
];

/// The keys of the tenant that the page is about.
pub(in crate::console) async fn list(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let tenant = visit.tenant.as_ref().map(|tenant| tenant.slug.as_str());
    let keys = state.authority.list_enrollment_keys(&by, tenant).await?;
    let action = html! {
        @if visit.can::<Operate>() { a class="button primary" href="/console/keys/new" { "Make an enrolment key" } }
    };
    let line = match tenant {
        Some(tenant) => format!("What lets devices of {tenant} enrol."),
        None => "What lets devices of the tenant default enrol. Choose a tenant to see its keys.".to_owned(),
    };
    let body = html! {
        (head("Enrolment keys", line, &action))
        (live("keys", "keys devices", &html! {
            @if keys.is_empty() {
                div class="panel" {
                    (empty(
                        Icon::Key,
                        "No enrolment key yet",
                        "A device enrols with a key that you make here: for one device or many, for an hour or a year.",
                        &action,
                    ))
                }
            } @else {
                (table(&visit, &keys))
            }
        }))
    };
    Ok(page(&visit, "Enrolment keys", &body))
}

fn table(visit: &Visit, keys: &[EnrollmentKeyRow]) -> Markup {
    html! {
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "Key" }
                        th scope="col" { "State" }
                        th scope="col" { "Used" }
                        th scope="col" { "Limits" }
                        th scope="col" { "Made" }
                        th scope="col" { "Ends" }
                        th scope="col" { span class="spoken" { "Revoke" } }
                    }
                }
                tbody {
                    @for key in keys.iter().take(SHOWN) {
                        tr {
                            td class="main" { (short(&key.id.to_string())) }
                            td data-label="State" { (state_of(key, visit.now)) }
                            td data-label="Used" { (key.uses) " of " (key.max_uses) }
                            td data-label="Limits" { (limits(key)) }
                            td data-label="Made" { (ago(visit.now, key.created_at)) }
                            td data-label="Ends" { (until(visit.now, key.expires_at)) }
                            td class="decide" {
                                @if visit.can::<Operate>() && is_usable(key, visit.now) {
                                    a class="button" href={ "/console/keys/" (key.id) "/revoke" } { "Revoke…" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn is_usable(key: &EnrollmentKeyRow, now: Timestamp) -> bool {
    key.revoked_at.is_none() && key.expires_at > now && key.uses < key.max_uses
}

fn state_of(key: &EnrollmentKeyRow, now: Timestamp) -> Markup {
    if key.revoked_at.is_some() {
        pill("bad", "revoked")
    } else if key.uses >= key.max_uses {
        pill("still", "used up")
    } else if key.expires_at <= now {
        pill("still", "over")
    } else {
        pill("good", "works")
    }
}

fn limits(key: &EnrollmentKeyRow) -> Markup {
    html! {
        @if key.approval == Approval::Required { span class="tag" { "needs approval" } }
        @if let Some(pattern) = &key.name_pattern { span class="tag" { "named " code { (pattern) } } }
        @if let Some(device) = key.device {
            a class="tag" href={ "/console/devices/" (device) } { "for one device" }
        }
        @if key.spki.is_some() { span class="tag" { "one public key" } }
        @for network in &key.networks { span class="tag" { code { (network) } } }
    }
}

/// The page on which a key is made.
pub(in crate::console) async fn form(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(mut query): QueryFields,
) -> Outcome<Response> {
    visit.may::<Operate>()?;
    let device = query.lenient_text("device", 36).unwrap_or_default();
    entry(&state, &visit, &[("deviceId".to_owned(), device)], None).await
}

async fn entry(
    state: &ControlPlane,
    visit: &Visit,
    given: &[(String, String)],
    failure: Option<&Failure>,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let tenant = visit.tenant.as_ref().map_or("default", |tenant| tenant.slug.as_str());
    let sites = state.authority.list_sites(&by, Some(tenant)).await?;
    let value =
        |name: &str| given.iter().find(|(one, _)| one == name).map_or("", |(_, value)| value.as_str());
    let chosen = |name: &str, own: &str, first: bool| match value(name) {
        "" => first,
        given => given == own,
    };
    let body = html! {
        (head("Make an enrolment key", format!("For devices of the tenant {tenant}."), html! {}))
        form class="panel narrow" method="post" action="/console/keys/new" {
            (visit.csrf())
            (problems(failure))
            input type="hidden" name="tenant" value=(tenant);
            div class="fields" {
                div class="field" {
                    label for="maxUses" { "Devices" }
                    input id="maxUses" name="maxUses" type="number" min="1" max="1000000" required
                        value=(if value("maxUses").is_empty() { "1" } else { value("maxUses") });
                    p class="hint" { "How many may enrol with it." }
                }
                div class="field" {
                    label for="expiresInMinutes" { "Works for" }
                    select id="expiresInMinutes" name="expiresInMinutes" {
                        @for (minutes, name) in LIVES {
                            option value=(minutes) selected[chosen("expiresInMinutes", &minutes.to_string(), minutes == 60)] { (name) }
                        }
                    }
                }
                div class="field" {
                    label for="site" { "Site" }
                    select id="site" name="site" {
                        @for site in &sites {
                            option value=(site.site.slug) selected[chosen("site", &site.site.slug.to_string(), false)] { (site.site.name) }
                        }
                    }
                }
            }
            div class="field check" {
                input id="requireApproval" name="requireApproval" type="checkbox" checked[!value("requireApproval").is_empty()];
                label for="requireApproval" { "Devices wait for approval" }
                p class="hint" { "They start in quarantine, and nothing is admitted until somebody approves them." }
            }
            details open[!value("deviceId").is_empty() || failure.is_some()] {
                summary { "Narrow it down" }
                (narrowing(&value))
            }
            div class="actions" {
                button class="primary" { "Make the key" }
                a class="button quiet" href="/console/keys" { "Cancel" }
            }
        }
    };
    Ok(page(visit, "Make an enrolment key", &body))
}

fn narrowing<'a>(value: &impl Fn(&str) -> &'a str) -> Markup {
    html! {
        div class="field" {
            label for="deviceNamePattern" { "Device names" }
            input id="deviceNamePattern" name="deviceNamePattern" maxlength="128"
                value=(value("deviceNamePattern")) placeholder="till-*";
            p class="hint" { "Only devices whose name is like that. " code { "*" } " stands for anything." }
        }
        div class="field" {
            label for="networks" { "From networks" }
            input id="networks" name="networks" value=(value("networks")) placeholder="192.0.2.0/24, 2001:db8::/32";
            p class="hint" { "Only from these addresses." }
        }
        div class="field" {
            label for="deviceId" { "To bring back one device" }
            input id="deviceId" name="deviceId" maxlength="36" value=(value("deviceId"))
                placeholder="its id, from its page";
            p class="hint" { "It enrols again with a fresh key and stays the same device; what it had is revoked." }
        }
    }
}

/// Makes a key, and shows it this once.
pub(in crate::console) async fn create(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Operate>()?;
    let made = match read(&form) {
        Ok(wanted) => state.authority.create_enrollment_key(&by, wanted).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match made {
        Ok(created) => Ok(shown_once(&state, &visit, &created)),
        Err(failure) if failure.status.is_client_error() && !failure.body.fields.is_empty() => {
            let names = [
                "maxUses",
                "expiresInMinutes",
                "site",
                "requireApproval",
                "deviceNamePattern",
                "networks",
                "deviceId",
            ];
            let given: Vec<(String, String)> = names
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), form.first(name)?.to_owned())))
                .collect();
            let shown = entry(&state, &visit, &given, Some(&failure)).await?;
            Ok(Rendered::instead(failure, shown))
        }
        Err(failure) => Err(failure),
    }
}

fn read(form: &Form) -> Outcome<WantedKey> {
    let mut fields = form.fields(&["requireApproval"]);
    let minutes = fields.read("expiresInMinutes", |text| within(text, 365 * 24 * 60)).unwrap_or(60);
    let networks = fields.read("networks", |text| {
        let list: Result<Vec<ipnet::IpNet>, _> =
            text.split(',').map(|network| network.trim().parse()).collect();
        list.ok()
            .filter(|list| list.len() <= 32)
            .ok_or("must be at most 32 networks such as 192.0.2.0/24, with commas")
    });
    let wanted = WantedKey {
        tenant: fields.text("tenant", 64),
        site: fields.text("site", 64),
        max_uses: fields.read("maxUses", |text| within(text, 1_000_000)).unwrap_or(1),
        life: Duration::from_secs(u64::from(minutes) * 60),
        approval: if form.is_ticked("requireApproval") { Approval::Required } else { Approval::NotNeeded },
        name_pattern: fields.text("deviceNamePattern", 128),
        device: fields.parsed("deviceId"),
        spki: None,
        networks: networks.unwrap_or_default(),
    };
    fields.refuse_unknown();
    fields.finish()?;
    Ok(wanted)
}

/// A whole number from 1 on.
fn within(text: &str, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("must be a whole number from 1 to {most}"))
}

fn shown_once(state: &ControlPlane, visit: &Visit, created: &CreatedKey) -> Response {
    let command = state.enrol_command(&created.key);
    let what = if created.row.max_uses == 1 {
        "one device".to_owned()
    } else {
        format!("{} devices", created.row.max_uses)
    };
    let body = html! {
        (head("The key is made", html! { "It lets in " (what) " until " (exactly(created.row.expires_at)) "." }, html! {}))
        section class="panel narrow" {
            p class="notice" { "The key is shown this once. Copy it before you leave this page." }
            h2 { "Run this on the device" }
            (copyable("command", &command))
            p class="soft" {
                "The fingerprint in it is that of this installation’s root: the device talks to nobody else."
            }
            @if let Some(picture) = picture(&command, "The command as a QR code") {
                details { summary { "As a picture, for a camera" } (picture) }
            }
            h2 { "The key alone" }
            (copyable("key", &created.key))
            div class="actions" {
                a class="button primary" href="/console/devices" { "Watch it appear" }
                a class="button quiet" href="/console/keys/new" { "Make another" }
            }
        }
    };
    page(visit, "The key is made", &body)
}

/// Asks before a key is revoked.
pub(in crate::console) async fn confirm_revoke(visit: Visit, Segment(id): Segment) -> Outcome<Response> {
    visit.may::<Operate>()?;
    let id: countersign_core::ids::EnrollmentKeyId = named(&id, "enrolment key")?;
    let body = html! {
        (head("Revoke this enrolment key?", html! { "Key " (short(&id.to_string())) }, html! {}))
        form class="panel narrow" method="post" action={ "/console/keys/" (id) "/revoke" } {
            (visit.csrf())
            ul class="means" {
                li { "No device enrols with it any more, from this moment on." }
                li { "Devices that enrolled with it are not touched." }
            }
            div class="actions" {
                button class="danger" { "Revoke the key" }
                a class="button quiet" href="/console/keys" { "Cancel" }
            }
        }
    };
    Ok(page(&visit, "Revoke an enrolment key", &body))
}

/// Revokes a key.
pub(in crate::console) async fn revoke(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<Operate>()?;
    state.authority.revoke_enrollment_key(&by, named(&id, "enrolment key")?).await?;
    Ok(Flash::new(Tone::Good, "The enrolment key is revoked; no device enrols with it any more.")
        .then("/console/keys"))
}
