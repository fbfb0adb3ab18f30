//! How a door hands a connection that stops being HTTP to the control plane in the same process.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::DuplexStream;
use tokio::sync::watch;

/// How much may wait on its way between the two, in either direction.
const ROOM: usize = 16 * 1024;

/// A client's wish to go on with another protocol, attached to its request as an extension. Like
/// [`crate::Arrival`] it cannot be written on the wire.
#[derive(Clone, Debug)]
pub struct OfferedUpgrade {
    protocol: String,
    connection: Arc<Mutex<Option<UpgradedConnection>>>,
}

/// The control plane's end of a connection that has stopped being HTTP. Dropping it ends the connection.
#[derive(Debug)]
pub struct UpgradedConnection {
    /// What the client says and hears.
    pub stream: DuplexStream,
    /// Whether the door is about to cut it.
    pub notice: CutNotice,
}

/// Word that the door is about to cut a connection: there is time for a last word, and no more.
#[derive(Clone, Debug)]
pub struct CutNotice(watch::Receiver<bool>);

/// The door's end.
#[derive(Debug)]
pub struct DoorEnd {
    /// What the client says goes in here, and what it is to hear comes out.
    pub stream: DuplexStream,
    /// Tells the control plane, and hears when that is through.
    pub control: DoorControl,
}

/// The door's say over a connection that it has handed over.
#[derive(Debug)]
pub struct DoorControl(watch::Sender<bool>);

impl OfferedUpgrade {
    /// An offer for a client that wishes for this protocol, and the door's end of the connection.
    #[must_use]
    pub fn new(protocol: String) -> (Self, DoorEnd) {
        let (ours, theirs) = tokio::io::duplex(ROOM);
        let (sender, receiver) = watch::channel(false);
        let connection = UpgradedConnection { stream: theirs, notice: CutNotice(receiver) };
        let offer = Self { protocol, connection: Arc::new(Mutex::new(Some(connection))) };
        (offer, DoorEnd { stream: ours, control: DoorControl(sender) })
    }

    /// What the client wishes for, as it wrote it.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Takes the connection: whoever does so answers 101. `None` when it was taken before.
    #[must_use]
    pub fn accept(&self) -> Option<UpgradedConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl CutNotice {
    /// Waits until the door is about to cut the connection, or is gone.
    pub async fn given(&mut self) {
        // An error means that the door is gone, and the connection with it.
        drop(self.0.wait_for(|given| *given).await);
    }
}

impl DoorControl {
    /// Tells the control plane that the connection is about to be cut.
    pub fn give_notice(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the control plane has let go of the connection.
    pub async fn let_go(&self) {
        self.0.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_connection_is_handed_over_once_and_ends_with_either_end() {
        let (offer, mut door) = OfferedUpgrade::new("websocket".to_owned());
        let mut taken = offer.clone().accept().unwrap();
        assert!(offer.accept().is_none());
        taken.stream.write_all(b"last").await.unwrap();
        drop(taken);
        door.control.let_go().await;
        let mut heard = Vec::new();
        door.stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last", "what was said before the end is heard");
    }

    #[tokio::test]
    async fn notice_is_given_by_the_door_and_by_its_end() {
        let (offer, door) = OfferedUpgrade::new("websocket".to_owned());
        let mut taken = offer.accept().unwrap();
        door.control.give_notice();
        taken.notice.given().await;
        let (offer, door) = OfferedUpgrade::new("websocket".to_owned());
        let mut taken = offer.accept().unwrap();
        drop(door);
        taken.notice.given().await;
    }
}
