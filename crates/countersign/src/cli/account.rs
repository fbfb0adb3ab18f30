//! `countersign account …`: what people do with their own account.

use anyhow::anyhow;
use clap::Subcommand;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::User;
use countersign_api::wire::second_factors::SecondFactorBody;
use countersign_api::wire::users::{ChangePasswordRequest, SetPasswordRequest};
use http::{Method, StatusCode};
use serde_json::json;
use zeroize::Zeroizing;

use super::account_second_factor::{self, OwnSecondFactorCommand};
use super::admin_server::{AdminServer, refused};
use super::ask::secret;
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::run::{block_on, loaded};
use super::server_call::{Call, admin_address, ask_with};
use super::server_flags::ServerFlags;
use super::table::sheet;
use crate::config::ConfigFlags;

/// `account …`.
#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Show who you are, and your second factor
    #[command(after_help = "Example:\n  countersign account show")]
    Show(Box<ServerFlags>),
    /// Change your password: your other sessions end
    #[command(
        after_help = "Asks for the password that works now and for the new one, or takes them from two lines of stdin.\n\nExample:\n  countersign account password"
    )]
    Password(Box<ServerFlags>),
    /// Set a password with a one-time token, that of an invitation or of a reset; nobody needs to be signed in
    #[command(
        after_help = "Asks for the token and for the new password, or takes them from two lines of stdin.\n\nExample:\n  countersign account set-password"
    )]
    SetPassword(Box<ConfigFlags>),
    /// Your second factor: one-time codes, recovery codes, passkeys
    #[command(subcommand)]
    SecondFactor(OwnSecondFactorCommand),
}

/// Does what was asked for.
pub(super) fn run(command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Show(flags) => show(&flags),
        AccountCommand::Password(flags) => change_password(&flags),
        AccountCommand::SetPassword(config) => set_password(*config),
        AccountCommand::SecondFactor(command) => account_second_factor::run(command),
    }
}

fn show(flags: &ServerFlags) -> Result<(), Failure> {
    let server = AdminServer::of(flags)?;
    let user: User = server.ask(Method::GET, "/auth/me", "")?;
    let own: SecondFactorBody = server.ask(Method::GET, "/auth/second-factor", "")?;
    if flags.json {
        return Ok(print_json(&json!({ "user": user, "secondFactor": own }))?);
    }
    let tenant = user.tenant.map_or_else(|| "all".to_owned(), |tenant| tenant.to_string());
    let codes = own.totp_since.map_or_else(|| "none".to_owned(), |since| format!("since {since}"));
    let passkeys = own.passkeys.iter().map(|passkey| match passkey.last_used_at {
        Some(at) => format!("{}, used {at}", passkey.name),
        None => format!("{}, never used", passkey.name),
    });
    let passkeys: Vec<String> = passkeys.collect();
    let rows = [
        ("email", user.email),
        ("role", user.role),
        ("tenants", tenant),
        ("one-time codes", codes),
        ("passkeys", if passkeys.is_empty() { "none".to_owned() } else { passkeys.join("; ") }),
        ("recovery codes left", own.recovery_codes_left.to_string()),
    ];
    Ok(print(&sheet(&rows))?)
}

fn change_password(flags: &ServerFlags) -> Result<(), Failure> {
    let server = AdminServer::of(flags)?;
    let request = ChangePasswordRequest {
        current_password: secret("password")?.to_string(),
        new_password: secret("new password")?.to_string(),
    };
    let body = Zeroizing::new(json!(request).to_string());
    let (status, answer) = server.call(Method::POST, "/auth/password", &body)?;
    if !status.is_success() {
        return Err(not_proved(status, &answer));
    }
    note("the new password counts from now on; your other sessions are over");
    Ok(())
}

fn set_password(config: ConfigFlags) -> Result<(), Failure> {
    let address = admin_address(&loaded(config)?.resolved)?;
    let request = SetPasswordRequest {
        token: secret("one-time token")?.to_string(),
        password: secret("new password")?.to_string(),
    };
    let body = Zeroizing::new(json!(request).to_string());
    let call = Call { method: Method::POST, path: "/api/v1/auth/set-password", token: None };
    let (status, answer) = block_on(ask_with(address, call, &body))?;
    if status == StatusCode::UNAUTHORIZED {
        return Err(Failure::from(anyhow!("the one-time token is unknown, was used, or has expired")).hint(
            "an owner makes another one: `countersign user reset-password EMAIL` on the server's machine",
        ));
    }
    if !status.is_success() {
        return Err(refused(status, &answer));
    }
    note("the password is set: `countersign login EMAIL` signs in");
    Ok(())
}

/// What the server refused of somebody who was to prove who they are.
pub(super) fn not_proved(status: StatusCode, answer: &str) -> Failure {
    let code = serde_json::from_str::<ErrorBody>(answer).ok().map(|body| body.code);
    match code.as_deref() {
        Some("WRONG_PASSWORD") => Failure::from(anyhow!("the password is wrong")),
        Some("WRONG_CODE") => Failure::from(anyhow!("the code is wrong, or it was used before"))
            .hint("wait for the app's next one, or take a recovery code"),
        _ => refused(status, answer),
    }
}
