//! Connections to Unix sockets.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

/// The first pause before it is tried again, and the longest.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(32);

/// Connects to a Unix socket.
///
/// While as many wait there as its server lets wait (Mosquitto: ten), the kernel turns away whoever does not block
/// (unix(7), EAGAIN), and tells nobody when there is room: it is tried again, for as long as the caller has patience.
///
/// # Errors
/// Whatever else the kernel says.
pub(crate) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let mut pause = SHORTEST;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            connected => return connected,
        }
        sleep_until(Instant::now() + pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, SockAddr, Socket, Type};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn whoever_comes_while_many_wait_gets_in_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let server = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        server.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        server.listen(1).unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = UnixStream::connect(&path).await {
            waiting.push(stream);
            assert!(waiting.len() < 100, "nobody is turned away");
        }
        let late = tokio::spawn(async move { connect(&path).await });
        drop(server.accept().unwrap());
        timeout(Duration::from_secs(10), late).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn where_nobody_listens_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = connect(&folder.path().join("nobody")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
