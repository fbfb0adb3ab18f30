//! `countersign user …`: people who may sign in.

use anyhow::anyhow;
use clap::Subcommand;
use countersign_api::wire::users::{CreateUserRequest, UserBody, UserCreated, UserList, UserPatch};
use countersign_core::ids::Tenant;
use http::Method;
use serde_json::json;

use super::admin_server::AdminServer;
use super::arguments::{UserResetPasswordArguments, UserResetSecondFactorArguments};
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::server_flags::ServerFlags;
use super::table::{Cell, Table};
use super::user_second_factor::SecondFactorCommand;
use super::{user_reset_password, user_reset_second_factor, user_second_factor};

/// `user …`.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Invite somebody: the one-time token with which they set their password goes to stdout
    #[command(
        after_help = "A token needs the scope users:write and to be an owner's.\n\nExample:\n  countersign user create viewer@example.com --role viewer"
    )]
    Create(Box<UserCreateArguments>),
    /// Show people
    #[command(after_help = "A token needs the scope users:read.\n\nExample:\n  countersign user list")]
    List(Box<ServerFlags>),
    /// Change what somebody may do, or whether they may sign in: their sessions end at once
    #[command(
        after_help = "A token needs the scope users:write and to be an owner's.\n\nExample:\n  countersign user change viewer@example.com --role operator --tenant acme"
    )]
    Change(Box<UserChangeArguments>),
    /// Make a one-time token with which somebody sets a new password: the way back for an owner who is
    /// locked out. It works on the database, on the machine itself
    #[command(
        after_help = "Example:\n  countersign user reset-password owner@example.com --data-dir /var/lib/countersign"
    )]
    ResetPassword(Box<UserResetPasswordArguments>),
    /// Second factors: removing somebody's who lost it, and whether everybody needs one
    #[command(subcommand)]
    SecondFactor(SecondFactorCommand),
    /// Remove somebody's second factor: the way back for an owner who lost the device and the recovery
    /// codes. It works on the database, on the machine itself
    #[command(
        after_help = "Example:\n  countersign user reset-second-factor owner@example.com --data-dir /var/lib/countersign"
    )]
    ResetSecondFactor(Box<UserResetSecondFactorArguments>),
}

/// `user create`.
#[derive(Debug, clap::Args)]
pub(super) struct UserCreateArguments {
    /// The e-mail address with which they sign in
    #[arg(value_name = "EMAIL")]
    email: String,
    /// What they may do: owner, admin, operator or viewer
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// The only tenant that they see, by its slug; all when absent
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    #[command(flatten)]
    server: ServerFlags,
}

/// `user change`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
pub(super) struct UserChangeArguments {
    /// Their e-mail address
    #[arg(value_name = "EMAIL")]
    email: String,
    /// What they may do: owner, admin, operator or viewer
    #[arg(long, value_name = "ROLE", group = "what")]
    role: Option<String>,
    /// The only tenant that they see, by its slug
    #[arg(long, value_name = "TENANT", group = "what", conflicts_with = "all_tenants")]
    tenant: Option<Tenant>,
    /// They see every tenant
    #[arg(long, group = "what")]
    all_tenants: bool,
    /// Let them sign in no more
    #[arg(long, group = "what", conflicts_with = "enable")]
    disable: bool,
    /// Let them sign in again
    #[arg(long, group = "what")]
    enable: bool,
    #[command(flatten)]
    server: ServerFlags,
}

/// Does what was asked for.
pub(super) fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Create(arguments) => create(*arguments),
        UserCommand::List(flags) => list(&flags),
        UserCommand::Change(arguments) => change(*arguments),
        UserCommand::ResetPassword(arguments) => user_reset_password::run(*arguments),
        UserCommand::SecondFactor(command) => user_second_factor::run(command),
        UserCommand::ResetSecondFactor(arguments) => user_reset_second_factor::run(*arguments),
    }
}

fn create(arguments: UserCreateArguments) -> Result<(), Failure> {
    let request = CreateUserRequest {
        email: arguments.email,
        role: arguments.role,
        tenant: arguments.tenant.map(|tenant| tenant.to_string()),
        password: None,
    };
    let server = AdminServer::of(&arguments.server)?;
    let made: UserCreated = server.ask(Method::POST, "/users", &json!(request).to_string())?;
    if arguments.server.json {
        return Ok(print_json(&made)?);
    }
    let Some(invitation) = made.invitation else { return Ok(print(&format!("{}\n", made.user.id))?) };
    note(&format!("with this token they set their password, once, until {}", invitation.expires_at));
    Ok(print(&format!("{}\n", invitation.token))?)
}

fn people(server: &AdminServer) -> Result<UserList, Failure> {
    server.ask(Method::GET, "/users", "")
}

fn list(flags: &ServerFlags) -> Result<(), Failure> {
    let found = people(&AdminServer::of(flags)?)?;
    if flags.json { Ok(print_json(&found)?) } else { Ok(print(&table(&found.users))?) }
}

fn table(users: &[UserBody]) -> String {
    let mut table = Table::new(&["email", "role", "tenant", "state", "second factor", "since", "id"]);
    for user in users {
        let state = match (user.disabled_at, user.invited) {
            (Some(_), _) => "disabled",
            (None, true) => "invited",
            (None, false) => "active",
        };
        table.push(vec![
            Cell::from(&user.email),
            Cell::from(&user.role),
            user.tenant.as_ref().map_or_else(|| Cell::from(&"all"), Cell::from),
            Cell::state(state),
            Cell::from(if user.second_factor { &"yes" } else { &"no" }),
            Cell::from(&user.disabled_at.unwrap_or(user.created_at)),
            Cell::from(&user.id),
        ]);
    }
    table.text("there is nobody")
}

/// Whoever signs in with this e-mail address.
pub(super) fn person(server: &AdminServer, email: &str) -> Result<UserBody, Failure> {
    let found = people(server)?.users.into_iter().find(|user| user.email.eq_ignore_ascii_case(email));
    found.ok_or_else(|| {
        Failure::from(anyhow!("nobody signs in as {email}")).hint("`countersign user list` shows everybody")
    })
}

fn change(arguments: UserChangeArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let user = person(&server, &arguments.email)?;
    let tenant = match (arguments.tenant, arguments.all_tenants) {
        (Some(tenant), _) => Some(Some(tenant.to_string())),
        (None, true) => Some(None),
        (None, false) => None,
    };
    let disabled = (arguments.disable || arguments.enable).then_some(arguments.disable);
    let body = json!(UserPatch { role: arguments.role, tenant, disabled }).to_string();
    let changed: UserBody = server.ask(Method::PATCH, &format!("/users/{}", user.id), &body)?;
    if arguments.server.json { Ok(print_json(&changed)?) } else { Ok(print(&table(&[changed]))?) }
}
