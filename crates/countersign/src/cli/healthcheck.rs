//! `countersign healthcheck`: asks a running server, over its admin listener, whether it is ready.

use http::{Method, StatusCode};

use super::arguments::HealthcheckArguments;
use super::failure::Failure;
use super::output::print;
use super::run::{block_on, loaded};
use super::server_call::{Call, admin_address, ask};

/// Succeeds when the server says that it is ready.
pub(super) fn run(arguments: HealthcheckArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let address = admin_address(&config)?;
    block_on(async {
        let ready = Call { method: Method::GET, path: "/health/ready", token: None };
        let (status, body) = ask(address, ready).await?;
        if arguments.json {
            print(&format!("{}\n", body.trim_end()))?;
        }
        if status != StatusCode::OK {
            return Err(Failure::bad_answer(format!("{address} is not ready: {status}")));
        }
        if !arguments.json {
            print("ready\n")?;
        }
        Ok(())
    })
}
