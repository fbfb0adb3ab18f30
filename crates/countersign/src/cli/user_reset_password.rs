//! `countersign user reset-password`: the way back for somebody who is locked out, from the machine.

use anyhow::Context as _;
use countersign_authority::passwords::{OneTimeToken, ResetPasswordError, reset_password_on_the_machine};
use countersign_core::time::{Clock as _, SystemClock};
use countersign_store::Store;
use serde_json::json;

use super::arguments::UserResetPasswordArguments;
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};
use crate::config::ConfigFlags;

/// Makes a one-time token and prints it, this once.
pub(super) fn run(arguments: UserResetPasswordArguments) -> Result<(), Failure> {
    block_on(async {
        let store = open_alone(arguments.config).await?;
        let made = reset_password_on_the_machine(&store, &arguments.email, SystemClock.now()).await;
        store.close().await;
        let token = made.map_err(|error| failure(error, &arguments.email))?;
        if arguments.json {
            let (text, until) = (token.token.as_str(), token.expires_at);
            Ok(print_json(&json!({ "email": arguments.email, "token": text, "expiresAt": until }))?)
        } else {
            Ok(print(&text(&token, &arguments.email))?)
        }
    })
}

/// Opens a database that is there already, beside nobody.
pub(super) async fn open_alone(config: ConfigFlags) -> Result<Store, Failure> {
    let config = loaded(config)?.resolved;
    if let Some(file) = config.database.path() {
        // Opening it for writing would make one.
        fs_err::metadata(file).context("find the database")?;
    }
    let opened = Store::open(&config.database).await.context("open the database");
    opened.map_err(|error| {
        Failure::from(error).hint("stop the server first: one process at a time writes an SQLite database")
    })
}

fn failure(error: ResetPasswordError, email: &str) -> Failure {
    match error {
        ResetPasswordError::Unknown => Failure::bad_answer(format!("nobody signs in as {email}")),
        ResetPasswordError::Disabled => Failure::bad_answer(format!("{email} is disabled"))
            .hint("an owner or admin enables the account, at PATCH /api/v1/users/<id>"),
        ResetPasswordError::AtProvider => {
            Failure::bad_answer(format!("{email} signs in at the identity provider and has no password here"))
        }
        ResetPasswordError::Own
        | ResetPasswordError::Forbidden(_)
        | ResetPasswordError::Secret(_)
        | ResetPasswordError::Store(_) => anyhow::Error::new(error).context("make a one-time token").into(),
    }
}

fn text(token: &OneTimeToken, email: &str) -> String {
    let (secret, until) = (token.token.as_str(), token.expires_at);
    format!(
        "One-time token for {email}, good once, until {until}:\n\n  {secret}\n\n\
         Set a password with it, of at least 12 characters:\n\n  \
         curl http://127.0.0.1:8080/api/v1/auth/set-password -H 'content-type: application/json' \\\n    \
         -d '{{\"token\": \"{secret}\", \"password\": \"...\"}}'\n"
    )
}
