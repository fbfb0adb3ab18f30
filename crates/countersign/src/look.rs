//! Looks at certificates that are watched: what a server shows, or what is in a file.

use std::error::Error;

use countersign_authority::monitors::{Unreachable, WatchPlace};
use countersign_tls::{certificates_of, shown_certificates};
use fs_err::tokio::File;
use tokio::io::AsyncReadExt as _;

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// The certificates at a place, leaf first, DER.
///
/// # Errors
/// [`Unreachable`], saying why there are none.
pub(crate) async fn look_at(place: &WatchPlace) -> Result<Vec<Vec<u8>>, Unreachable> {
    match place {
        WatchPlace::Server { host, port, server_name } => shown_certificates(host, *port, server_name)
            .await
            .map_err(|error| unreachable(error.code(), &error)),
        WatchPlace::File(path) => {
            let file = File::open(path).await.map_err(|error| unreachable("file", &error))?;
            let mut bytes = Vec::new();
            let read = file.take(LARGEST).read_to_end(&mut bytes).await;
            read.map_err(|error| unreachable("file", &error))?;
            certificates_of(&bytes).map_err(|error| unreachable("certificate", &error))
        }
    }
}

fn unreachable(reason: &'static str, error: &(dyn Error + 'static)) -> Unreachable {
    let mut problem = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        problem.push_str(": ");
        problem.push_str(&error.to_string());
        cause = error.source();
    }
    Unreachable { reason, problem }
}
