//! `countersign login | logout | whoami`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{LoginRequest, LoginResponse, User};
use http::{Method, StatusCode};
use serde_json::json;
use zeroize::Zeroizing;

use super::admin_server::{AdminServer, refused};
use super::ask::{secret, secret_from};
use super::failure::Failure;
use super::kept_sessions::{KeptSession, KeptSessions};
use super::output::{note, print, print_json};
use super::run::{block_on, loaded};
use super::server_call::{Call, admin_address, ask_with};
use super::server_flags::ServerFlags;
use super::table::sheet;
use crate::config::{ConfigFlags, Environment};

/// `login`.
#[derive(Debug, clap::Args)]
pub(super) struct LoginArguments {
    /// The e-mail address with which you sign in
    #[arg(value_name = "EMAIL")]
    pub(super) email: String,
    /// A file with the password, or - for stdin; asked for when absent
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `logout`.
#[derive(Debug, clap::Args)]
pub(super) struct LogoutArguments {
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// Begins a session and keeps it for the commands that come.
pub(super) fn log_in(arguments: LoginArguments) -> Result<(), Failure> {
    let address = admin_address(&loaded(arguments.config)?.resolved)?;
    let mut kept = KeptSessions::read(&folder()?)?;
    let password = secret_from(arguments.password_file.as_deref(), "password")?;
    let mut request = LoginRequest { email: arguments.email, password: password.to_string(), code: None };
    let (mut status, mut answer) = ask_to_log_in(address, &request)?;
    if code_of(&answer).as_deref() == Some("SECOND_FACTOR_REQUIRED") {
        // Behind the password, if that came over stdin.
        request.code = Some(secret("code")?.to_string());
        (status, answer) = ask_to_log_in(address, &request)?;
    }
    if !status.is_success() {
        return Err(not_logged_in(status, &answer));
    }
    let answer = Zeroizing::new(answer);
    let session: LoginResponse = serde_json::from_str(&answer).context("read the server's answer")?;
    let (expires_at, email) = (session.expires_at, request.email);
    kept.keep(address, KeptSession { email: email.clone(), token: session.token, expires_at })?;
    note(&format!("signed in at {address} as {email}, until {expires_at}"));
    Ok(())
}

fn ask_to_log_in(address: SocketAddr, request: &LoginRequest) -> Result<(StatusCode, String), Failure> {
    let body = Zeroizing::new(json!(request).to_string());
    let call = Call { method: Method::POST, path: "/api/v1/auth/login", token: None };
    block_on(ask_with(address, call, &body))
}

/// The code of a failed answer.
fn code_of(answer: &str) -> Option<String> {
    serde_json::from_str::<ErrorBody>(answer).ok().map(|body| body.code)
}

fn not_logged_in(status: StatusCode, answer: &str) -> Failure {
    match code_of(answer).as_deref() {
        Some("INVALID_CREDENTIALS") => {
            Failure::from(anyhow!("the server does not know this e-mail address with this password"))
                .hint("`countersign user reset-password EMAIL` on the server's machine is the way back")
        }
        Some("SECOND_FACTOR_WRONG") => Failure::from(anyhow!("the code is wrong, or it was used before"))
            .hint("a recovery code does as well; an owner can remove your second factor"),
        _ => refused(status, answer),
    }
}

/// Ends the session here and at the server.
pub(super) fn log_out(arguments: LogoutArguments) -> Result<(), Failure> {
    let address = admin_address(&loaded(arguments.config)?.resolved)?;
    let mut kept = KeptSessions::read(&folder()?)?;
    let Some(token) = kept.token(address) else {
        note(&format!("nobody was signed in at {address}"));
        return Ok(());
    };
    let ended = end(address, &token);
    // Whatever the server says: who signs out does not want it here any more.
    kept.forget(address)?;
    ended.map_err(|failure| failure.hint("it is forgotten here; at the server it lasts until its end"))?;
    note(&format!("signed out at {address}"));
    Ok(())
}

fn end(address: SocketAddr, token: &str) -> Result<(), Failure> {
    let call = Call { method: Method::POST, path: "/api/v1/auth/logout", token: Some(token) };
    let (status, answer) = block_on(ask_with(address, call, ""))?;
    // One that is over already needs no end.
    if status.is_success() || status == StatusCode::UNAUTHORIZED {
        return Ok(());
    }
    Err(refused(status, &answer))
}

/// Says who is asking.
pub(super) fn who_am_i(flags: &ServerFlags) -> Result<(), Failure> {
    let user: User = AdminServer::of(flags)?.ask(Method::GET, "/auth/me", "")?;
    if flags.json {
        return Ok(print_json(&user)?);
    }
    let tenant = user.tenant.map_or_else(|| "all".to_owned(), |tenant| tenant.to_string());
    Ok(print(&sheet(&[("email", user.email), ("role", user.role), ("tenants", tenant)]))?)
}

fn folder() -> Result<PathBuf, Failure> {
    let folder = Environment::user_folder();
    folder.ok_or_else(|| {
        Failure::from(anyhow!(
            "there is no folder to keep a session in: neither HOME nor XDG_CONFIG_HOME is set"
        ))
        .hint("name a file with a token at each command instead, --token-file FILE")
    })
}
