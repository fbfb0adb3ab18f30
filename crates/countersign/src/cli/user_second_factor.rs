//! `countersign user second-factor remove | policy`: second factors of others, and who needs one.

use clap::{Subcommand, ValueEnum};
use countersign_api::wire::second_factors::{SecondFactorPolicy, SignInSettings};
use http::Method;
use serde_json::json;

use super::admin_server::{AdminServer, refused};
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::server_flags::ServerFlags;
use super::user::person;

/// `user second-factor …`.
#[derive(Debug, Subcommand)]
pub(super) enum SecondFactorCommand {
    /// Remove the second factor of somebody who lost it: their sessions end, and their password alone lets
    /// them in to set up another one
    #[command(
        after_help = "For owners who are signed in; no API token does it.\n\nExample:\n  countersign user second-factor remove viewer@example.com"
    )]
    Remove(Box<RemoveArguments>),
    /// Show who needs a second factor, or say it: whoever has none is led to set one up
    #[command(
        after_help = "For owners who are signed in; no API token does it.\n\nExample:\n  countersign user second-factor policy required"
    )]
    Policy(Box<PolicyArguments>),
}

/// `user second-factor remove`.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArguments {
    /// Their e-mail address
    #[arg(value_name = "EMAIL")]
    email: String,
    #[command(flatten)]
    server: ServerFlags,
}

/// `user second-factor policy`.
#[derive(Debug, clap::Args)]
pub(super) struct PolicyArguments {
    /// Who needs one; shown when absent
    #[arg(value_name = "POLICY")]
    policy: Option<Policy>,
    #[command(flatten)]
    server: ServerFlags,
}

/// Who needs a second factor.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// Whoever set one up
    Optional,
    /// Everybody who signs in with a password
    Required,
}

/// Does what was asked for.
pub(super) fn run(command: SecondFactorCommand) -> Result<(), Failure> {
    match command {
        SecondFactorCommand::Remove(arguments) => remove(&arguments),
        SecondFactorCommand::Policy(arguments) => policy(&arguments),
    }
}

fn remove(arguments: &RemoveArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let user = person(&server, &arguments.email)?;
    let path = format!("/users/{}/second-factor/remove", user.id);
    let (status, answer) = server.call(Method::POST, &path, "")?;
    if !status.is_success() {
        return Err(refused(status, &answer));
    }
    note(&format!("{} signs in with the password alone from now on", user.email));
    Ok(())
}

fn policy(arguments: &PolicyArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let wanted = arguments.policy.map(|policy| match policy {
        Policy::Optional => SecondFactorPolicy::Optional,
        Policy::Required => SecondFactorPolicy::Required,
    });
    let settings: SignInSettings = match wanted {
        Some(second_factor) => {
            let body = json!(SignInSettings { second_factor }).to_string();
            server.ask(Method::PATCH, "/sign-in-settings", &body)?
        }
        None => server.ask(Method::GET, "/sign-in-settings", "")?,
    };
    if arguments.server.json {
        return Ok(print_json(&settings)?);
    }
    Ok(print(match settings.second_factor {
        SecondFactorPolicy::Optional => "optional\n",
        SecondFactorPolicy::Required => "required\n",
    })?)
}
