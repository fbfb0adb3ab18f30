//! `countersign account second-factor …`: one's own second factor. Passkeys are made by browsers, on the console.

use std::io::IsTerminal as _;

use anyhow::anyhow;
use clap::Subcommand;
use countersign_api::wire::second_factors::{
    RecoveryCodesBody, SecondFactorBody, SecondFactorProof, TotpConfirmRequest, TotpPending,
};
use http::Method;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;
use zeroize::Zeroizing;

use super::account::not_proved;
use super::admin_server::AdminServer;
use super::ask::secret;
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::server_flags::ServerFlags;
use super::table::sheet;

/// `account second-factor …`. What changes it asks for the password, and for a code of whoever has a second factor
/// already, or takes them from lines of stdin.
#[derive(Debug, Subcommand)]
pub(super) enum OwnSecondFactorCommand {
    /// Make a key for an app that shows one-time codes: it counts once `confirm` was given a code of it
    #[command(
        after_help = "Asks for the password, and for a code of whoever has a passkey. The key is shown this once.\n\nExample:\n  countersign account second-factor set-up"
    )]
    SetUp(Box<ServerFlags>),
    /// Let the key of `set-up` count, within 15 minutes: asks for a code of it, and prints ten recovery codes
    #[command(after_help = "Example:\n  countersign account second-factor confirm")]
    Confirm(Box<ServerFlags>),
    /// Print ten new recovery codes; those from before are worth nothing
    #[command(after_help = "Example:\n  countersign account second-factor recovery-codes")]
    RecoveryCodes(Box<ServerFlags>),
    /// Remove one-time codes, recovery codes and all passkeys
    #[command(after_help = "Example:\n  countersign account second-factor remove")]
    Remove(Box<ServerFlags>),
    /// Remove one passkey
    #[command(
        after_help = "Passkeys are made on the console, by a browser.\n\nExample:\n  countersign account second-factor remove-passkey 'blue key'"
    )]
    RemovePasskey(Box<RemovePasskeyArguments>),
}

/// `account second-factor remove-passkey`.
#[derive(Debug, clap::Args)]
pub(super) struct RemovePasskeyArguments {
    /// What it is called, or its id
    #[arg(value_name = "PASSKEY")]
    passkey: String,
    #[command(flatten)]
    server: ServerFlags,
}

const PLACE: &str = "/auth/second-factor";

/// Does what was asked for.
pub(super) fn run(command: OwnSecondFactorCommand) -> Result<(), Failure> {
    match command {
        OwnSecondFactorCommand::SetUp(flags) => set_up(&flags),
        OwnSecondFactorCommand::Confirm(flags) => confirm(&flags),
        OwnSecondFactorCommand::RecoveryCodes(flags) => renew_codes(&flags),
        OwnSecondFactorCommand::Remove(flags) => remove(&flags),
        OwnSecondFactorCommand::RemovePasskey(arguments) => remove_passkey(&arguments),
    }
}

fn set_up(flags: &ServerFlags) -> Result<(), Failure> {
    let server = AdminServer::of(flags)?;
    let answer = Zeroizing::new(proved(&server, "/totp")?);
    let pending: TotpPending = read(&answer)?;
    if flags.json {
        return Ok(print_json(&pending)?);
    }
    if std::io::stderr().is_terminal() {
        let code = QrCode::new(&pending.uri).map_err(|error| anyhow!("draw the QR code: {error}"))?;
        note(&code.render::<Dense1x2>().build());
    }
    print(&sheet(&[("key", pending.key), ("uri", pending.uri)]))?;
    note("`countersign account second-factor confirm` with a code of it lets it count, within 15 minutes");
    Ok(())
}

fn confirm(flags: &ServerFlags) -> Result<(), Failure> {
    let server = AdminServer::of(flags)?;
    let request = TotpConfirmRequest { code: secret("code")?.to_string() };
    let (status, answer) =
        server.call(Method::POST, &format!("{PLACE}/totp/confirm"), &json!(request).to_string())?;
    if !status.is_success() {
        return Err(not_proved(status, &answer));
    }
    show_codes(flags, &Zeroizing::new(answer))
}

fn renew_codes(flags: &ServerFlags) -> Result<(), Failure> {
    let server = AdminServer::of(flags)?;
    show_codes(flags, &Zeroizing::new(proved(&server, "/recovery-codes")?))
}

fn show_codes(flags: &ServerFlags, answer: &str) -> Result<(), Failure> {
    let codes: RecoveryCodesBody = read(answer)?;
    if flags.json {
        return Ok(print_json(&codes)?);
    }
    print(&format!("{}\n", codes.recovery_codes.join("\n")))?;
    note("each lets you in once, in the place of a code; they are not shown again");
    Ok(())
}

fn remove(flags: &ServerFlags) -> Result<(), Failure> {
    proved(&AdminServer::of(flags)?, "/remove")?;
    note("you sign in with the password alone from now on");
    Ok(())
}

fn remove_passkey(arguments: &RemovePasskeyArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let wanted = &arguments.passkey;
    let own = own(&server)?;
    let meant: Vec<_> =
        own.passkeys.iter().filter(|one| one.name == *wanted || one.id.to_string() == *wanted).collect();
    let [passkey] = meant.as_slice() else {
        let count = meant.len();
        return Err(Failure::from(anyhow!("{count} of your passkeys are called {wanted:?}"))
            .hint("`countersign account show --json` prints them with their ids"));
    };
    proved(&server, &format!("/passkeys/{}/remove", passkey.id))?;
    note(&format!("{:?} lets nobody in any more", passkey.name));
    Ok(())
}

fn own(server: &AdminServer) -> Result<SecondFactorBody, Failure> {
    server.ask(Method::GET, PLACE, "")
}

/// Asks for something that needs the password, and a code of whoever has a second factor: the answer.
fn proved(server: &AdminServer, path: &str) -> Result<String, Failure> {
    let own = own(server)?;
    let has_one = own.totp_since.is_some() || !own.passkeys.is_empty();
    let proof = SecondFactorProof {
        password: secret("password")?.to_string(),
        code: if has_one { Some(secret("code")?.to_string()) } else { None },
        credential: None,
        client_data: None,
        authenticator_data: None,
        signature: None,
    };
    let body = Zeroizing::new(json!(proof).to_string());
    let (status, answer) = server.call(Method::POST, &format!("{PLACE}{path}"), &body)?;
    if status.is_success() { Ok(answer) } else { Err(not_proved(status, &answer)) }
}

fn read<T: serde::de::DeserializeOwned>(answer: &str) -> Result<T, Failure> {
    Ok(serde_json::from_str(answer).map_err(|error| anyhow!("read the server's answer: {error}"))?)
}
