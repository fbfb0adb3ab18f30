//! `countersign site create | list | rename | delete`: where the devices of a tenant are.

use clap::Subcommand;
use countersign_api::wire::sites::{CreateSiteRequest, SiteBody, SiteList, SitePatch};
use countersign_core::ids::{SiteId, Tenant};
use http::Method;
use serde_json::json;

use super::admin_server::{AdminServer, refused};
use super::failure::Failure;
use super::output::{print, print_json};
use super::query::Query;
use super::server_flags::ServerFlags;
use super::table::{Cell, Table};

/// `site …`.
#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
    /// Make one
    #[command(
        after_help = "A token needs the scope sites:write.\n\nExample:\n  countersign site create berlin --tenant acme --name 'Berlin office'"
    )]
    Create(Box<SiteCreateArguments>),
    /// Show them
    #[command(
        after_help = "A token needs the scope sites:read.\n\nExample:\n  countersign site list --tenant acme"
    )]
    List(Box<SiteListArguments>),
    /// Give one another name for people
    #[command(
        after_help = "A token needs the scope sites:write.\n\nExample:\n  countersign site rename 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 'Berlin, 2nd floor'"
    )]
    Rename(Box<SiteRenameArguments>),
    /// Delete one that nothing is at
    #[command(
        after_help = "A token needs the scope sites:write.\n\nExample:\n  countersign site delete 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40"
    )]
    Delete(Box<SiteDeleteArguments>),
}

/// `site create`.
#[derive(Debug, clap::Args)]
pub(super) struct SiteCreateArguments {
    /// Its slug: small letters, digits and dashes
    #[arg(value_name = "SITE")]
    slug: String,
    /// Of which tenant, by its slug: default when absent
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    /// Its name for people; the slug when absent
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

/// `site list`.
#[derive(Debug, clap::Args)]
pub(super) struct SiteListArguments {
    /// Of this tenant alone, by its slug
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    #[command(flatten)]
    server: ServerFlags,
}

/// `site rename`.
#[derive(Debug, clap::Args)]
pub(super) struct SiteRenameArguments {
    /// Its id
    #[arg(value_name = "ID")]
    id: SiteId,
    /// Its new name for people
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    server: ServerFlags,
}

/// `site delete`.
#[derive(Debug, clap::Args)]
pub(super) struct SiteDeleteArguments {
    /// Its id
    #[arg(value_name = "ID")]
    id: SiteId,
    #[command(flatten)]
    server: ServerFlags,
}

/// Does what was asked for.
pub(super) fn run(command: SiteCommand) -> Result<(), Failure> {
    match command {
        SiteCommand::Create(arguments) => create(*arguments),
        SiteCommand::List(arguments) => list(&arguments),
        SiteCommand::Rename(arguments) => rename(*arguments),
        SiteCommand::Delete(arguments) => delete(&arguments),
    }
}

fn create(arguments: SiteCreateArguments) -> Result<(), Failure> {
    let request = CreateSiteRequest {
        tenant: arguments.tenant.map(|tenant| tenant.to_string()),
        name: arguments.name.unwrap_or_else(|| arguments.slug.clone()),
        slug: arguments.slug,
    };
    let server = AdminServer::of(&arguments.server)?;
    let made: SiteBody = server.ask(Method::POST, "/sites", &json!(request).to_string())?;
    if arguments.server.json { Ok(print_json(&made)?) } else { Ok(print(&format!("{}\n", made.id))?) }
}

fn list(arguments: &SiteListArguments) -> Result<(), Failure> {
    let query = Query::of("/sites").by("tenant", arguments.tenant.as_ref());
    let found: SiteList = AdminServer::of(&arguments.server)?.ask(Method::GET, query.path(), "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["site", "tenant", "name", "id"]);
    for site in &found.sites {
        table.push(vec![
            Cell::from(&site.slug),
            Cell::from(&site.tenant),
            Cell::from(&site.name),
            Cell::from(&site.id),
        ]);
    }
    Ok(print(&table.text("there are no sites"))?)
}

fn rename(arguments: SiteRenameArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let body = json!(SitePatch { name: arguments.name }).to_string();
    let site: SiteBody = server.ask(Method::PATCH, &format!("/sites/{}", arguments.id), &body)?;
    if arguments.server.json {
        return Ok(print_json(&site)?);
    }
    let mut table = Table::new(&["site", "name"]);
    table.push(vec![Cell::from(&site.slug), Cell::from(&site.name)]);
    Ok(print(&table.text(""))?)
}

fn delete(arguments: &SiteDeleteArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let (status, answer) = server.call(Method::DELETE, &format!("/sites/{}", arguments.id), "")?;
    if !status.is_success() {
        return Err(refused(status, &answer));
    }
    if arguments.server.json {
        return Ok(print_json(&json!({ "deleted": arguments.id }))?);
    }
    Ok(print(&format!("{} is deleted\n", arguments.id))?)
}
