//! `countersign user reset-second-factor`: the way back for an owner who lost the second factor, from the machine.

use countersign_authority::second_factor::{RemoveError, remove_second_factor_on_the_machine};
use countersign_core::time::{Clock as _, SystemClock};

use super::arguments::UserResetSecondFactorArguments;
use super::failure::Failure;
use super::output::note;
use super::run::block_on;
use super::user_reset_password::open_alone;

/// Removes somebody's second factor.
pub(super) fn run(arguments: UserResetSecondFactorArguments) -> Result<(), Failure> {
    let email = arguments.email;
    block_on(async {
        let store = open_alone(arguments.config).await?;
        let removed = remove_second_factor_on_the_machine(&store, &email, SystemClock.now()).await;
        store.close().await;
        removed.map_err(|error| failure(error, &email))
    })?;
    note(&format!("{email} signs in with the password alone from now on"));
    Ok(())
}

fn failure(error: RemoveError, email: &str) -> Failure {
    match error {
        RemoveError::Unknown => Failure::bad_answer(format!("nobody signs in as {email}")),
        RemoveError::Missing => Failure::bad_answer(format!("{email} has no second factor")),
        RemoveError::Own | RemoveError::Forbidden(_) | RemoveError::Store(_) => {
            anyhow::Error::new(error).context("remove the second factor").into()
        }
    }
}
