//! What crosses on an edge's connection after it has stopped being HTTP: frames of a length, a kind and a
//! content, in both directions.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use countersign_core::door_work::DoorWork;
use countersign_core::ids::{AuthorityId, CertificateRef, RequestId, Tenant};
use countersign_core::snapshot::DeviceKey;
use countersign_core::snapshot::wire::MESSAGE_LIMIT;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What the upgrade is called.
pub const PROTOCOL: &str = "countersign-edge/1";

/// How often each side says something when it has nothing to say.
pub const BEAT: std::time::Duration = std::time::Duration::from_secs(5);

/// How long a side that says nothing is taken to be there.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

/// The longest frame of an edge.
const UP_LIMIT: usize = 4 << 20;

/// The longest frame of an authority: a message, its signature and their lengths.
const DOWN_LIMIT: usize = MESSAGE_LIMIT + 1024;

/// How many reports are in one frame at most.
pub const REPORTS_AT_ONCE: usize = 256;

/// Of how many devices one frame says that there is something for them, at most.
pub const NEWS_AT_ONCE: usize = 1024;

/// What an edge says.
#[derive(Clone, Debug, PartialEq)]
pub enum FromEdge {
    /// First of all: where it is.
    Hello(Hello),
    /// It has applied everything up to this position.
    Applied(u64),
    /// What happened at its doors, under a number by which the authority says that it has it.
    Reports(u64, Vec<Report>),
    /// Its doors are closed; it goes in order.
    Leave,
    /// It is there, and this is what its doors do, if that is not what it said last.
    Beat(Option<DoorWork>),
}

/// Where an edge is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// Who told it what it knows, and up to which position; `None`: it is to be told everything.
    pub known: Option<(AuthorityId, u64)>,
    /// Whether it wants to hear of devices for which there is something.
    #[serde(default)]
    pub hears_news: bool,
}

/// What happened at a door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Report {
    /// Somebody was refused, or would have been, or could not be served.
    Refusal {
        /// What the client was told to quote.
        request: RequestId,
        /// When.
        at: Timestamp,
        /// The stable code.
        code: String,
        /// Whether it was refused indeed.
        outcome: ReportOutcome,
        /// Whose it is, when a tenant is known.
        tenant: Option<Tenant>,
        /// Where it came from.
        address: IpAddr,
        /// The facts that led to it.
        facts: BTreeMap<String, String>,
        /// The certificate that was shown, where a rule that is only observed would have blocked its holder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<CertificateRef>,
    },
    /// A certificate was used for the first time.
    FirstUse {
        /// Which.
        certificate: CertificateRef,
    },
    /// Of so many refusals nothing else is known.
    Unseen {
        /// How many.
        count: u64,
    },
}

/// Whether somebody was refused indeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReportOutcome {
    /// It was so.
    Refused,
    /// It would be so under `enforce`.
    WouldRefuse,
    /// It could not be served, whoever asks.
    Failed,
}

/// What an authority says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToEdge {
    /// A message about trust, and its signature.
    Trust(SignedTrust),
    /// It has the reports of this number, and those before.
    Taken(u64),
    /// It says no more, and why.
    End(String),
    /// It is there.
    Beat,
    /// There is something for these devices, wherever they are: whoever has them may ask for it. Only for those
    /// who want to hear of it.
    News(Vec<DeviceKey>),
}

/// A message about trust with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTrust {
    /// What is signed, see [`countersign_core::snapshot::wire`].
    pub message: Vec<u8>,
    /// The signature, DER.
    pub signature: Vec<u8>,
}

impl SignedTrust {
    /// Both, the signature behind its length first: as they travel and as they are kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u16::try_from(self.signature.len()).unwrap_or(u16::MAX);
        [&length.to_be_bytes(), self.signature.as_slice(), &self.message].concat()
    }

    /// Takes them apart.
    ///
    /// # Errors
    /// When there is no room for the signature.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let short = || invalid("no signature");
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or_else(short)?;
        let (signature, message) =
            rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or_else(short)?;
        Ok(Self { message: message.to_vec(), signature: signature.to_vec() })
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl FromEdge {
    /// Sends it.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&self, to: &mut (impl AsyncWrite + Unpin + Send)) -> io::Result<()> {
        match self {
            Self::Hello(hello) => send(to, 1, &json(hello)?).await,
            Self::Applied(position) => send(to, 2, &position.to_be_bytes()).await,
            Self::Reports(number, reports) => {
                send(to, 3, &[number.to_be_bytes().as_slice(), &json(reports)?].concat()).await
            }
            Self::Leave => send(to, 4, &[]).await,
            Self::Beat(None) => send(to, 5, &[]).await,
            Self::Beat(Some(work)) => send(to, 5, &json(work)?).await,
        }
    }

    /// Receives one; `None` at the end.
    ///
    /// # Errors
    /// Fails closed: whatever is none ends the connection.
    pub async fn receive(from: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Option<Self>> {
        let Some((kind, content)) = receive(from, UP_LIMIT).await? else { return Ok(None) };
        Ok(Some(match kind {
            1 => Self::Hello(read(&content)?),
            2 => Self::Applied(number(&content)?.0),
            3 => {
                let (number, rest) = number(&content)?;
                let reports: Vec<Report> = read(rest)?;
                if reports.len() > REPORTS_AT_ONCE {
                    return Err(invalid("too many reports at once"));
                }
                Self::Reports(number, reports)
            }
            4 => Self::Leave,
            5 if content.is_empty() => Self::Beat(None),
            5 => Self::Beat(Some(read(&content)?)),
            _ => return Err(invalid("a frame of an unknown kind")),
        }))
    }
}

impl ToEdge {
    /// Sends it.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&self, to: &mut (impl AsyncWrite + Unpin + Send)) -> io::Result<()> {
        match self {
            Self::Trust(signed) => send(to, 1, &signed.to_bytes()).await,
            Self::Taken(number) => send(to, 2, &number.to_be_bytes()).await,
            Self::End(why) => send(to, 3, why.as_bytes()).await,
            Self::Beat => send(to, 4, &[]).await,
            Self::News(devices) => send(to, 5, &json(devices)?).await,
        }
    }

    /// Receives one; `None` at the end.
    ///
    /// # Errors
    /// Fails closed: whatever is none ends the connection.
    pub async fn receive(from: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Option<Self>> {
        let Some((kind, content)) = receive(from, DOWN_LIMIT).await? else { return Ok(None) };
        Ok(Some(match kind {
            1 => Self::Trust(SignedTrust::from_bytes(&content)?),
            2 => Self::Taken(number(&content)?.0),
            3 => Self::End(String::from_utf8_lossy(&content).chars().take(200).collect()),
            4 => Self::Beat,
            5 => Self::News(read(&content)?),
            _ => return Err(invalid("a frame of an unknown kind")),
        }))
    }
}

fn json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

fn read<'a, T: Deserialize<'a>>(content: &'a [u8]) -> io::Result<T> {
    serde_json::from_slice(content).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn number(content: &[u8]) -> io::Result<(u64, &[u8])> {
    let (number, rest) = content.split_first_chunk().ok_or_else(|| invalid("no number"))?;
    Ok((u64::from_be_bytes(*number), rest))
}

async fn send(to: &mut (impl AsyncWrite + Unpin + Send), kind: u8, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(|_length| invalid("too long a frame"))?;
    let mut head = [0; 5];
    let [a, b, c, d] = length.to_be_bytes();
    head.copy_from_slice(&[a, b, c, d, kind]);
    to.write_all(&head).await?;
    to.write_all(content).await?;
    to.flush().await
}

/// Sets aside no more than has arrived.
async fn receive(
    from: &mut (impl AsyncRead + Unpin + Send),
    limit: usize,
) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 5];
    match from.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let [a, b, c, d, kind] = head;
    let length = u32::from_be_bytes([a, b, c, d]);
    if usize::try_from(length).map_or(true, |length| length > limit) {
        return Err(invalid("too long a frame"));
    }
    let mut content = Vec::new();
    from.take(length.into()).read_to_end(&mut content).await?;
    if u32::try_from(content.len()) != Ok(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind, content)))
}

#[cfg(test)]
mod tests {
    use countersign_core::door_work::{DoorLoad, Slot};
    use countersign_core::ids::ProcessId;

    use super::*;

    #[tokio::test]
    async fn what_is_said_is_heard() {
        let refusal = Report::Refusal {
            request: RequestId::random(),
            at: Timestamp::from_secs(7),
            code: "MTLS_REQUIRED".to_owned(),
            outcome: ReportOutcome::WouldRefuse,
            tenant: Some("acme".parse().unwrap()),
            address: [192, 0, 2, 1].into(),
            facts: BTreeMap::from([("path".to_owned(), "/x".to_owned())]),
            certificate: Some(CertificateRef { issuer: [7; 32].into(), serial: "0a".parse().unwrap() }),
        };
        let work = DoorWork {
            source: ProcessId::random(),
            load: DoorLoad { connections: 3, ..DoorLoad::default() },
            handshakes: BTreeMap::from([(Slot::new(3_000_000), 12)]),
        };
        let said = [
            FromEdge::Hello(Hello { known: Some((AuthorityId::random(), u64::MAX)), hears_news: true }),
            FromEdge::Applied(7),
            FromEdge::Reports(9, vec![refusal, Report::Unseen { count: 3 }]),
            FromEdge::Beat(None),
            FromEdge::Beat(Some(work)),
            FromEdge::Leave,
        ];
        let mut bytes = Vec::new();
        for one in &said {
            one.send(&mut bytes).await.unwrap();
        }
        let mut rest = bytes.as_slice();
        for one in said {
            assert_eq!(FromEdge::receive(&mut rest).await.unwrap(), Some(one));
        }
        assert_eq!(FromEdge::receive(&mut rest).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_told_is_heard() {
        let signed = SignedTrust { message: vec![1; 70_000], signature: vec![2; 70] };
        let news = ToEdge::News(vec![("acme".parse().unwrap(), "d1".parse().unwrap())]);
        let end = ToEdge::End("revoked".to_owned());
        let said = [ToEdge::Trust(signed), ToEdge::Taken(7), end, ToEdge::Beat, news];
        let mut bytes = Vec::new();
        for one in &said {
            one.send(&mut bytes).await.unwrap();
        }
        let mut rest = bytes.as_slice();
        for one in said {
            assert_eq!(ToEdge::receive(&mut rest).await.unwrap(), Some(one));
        }
    }

    #[tokio::test]
    async fn fails_closed_on_what_is_no_frame() {
        for bytes in [
            &[0, 0, 0, 0, 9][..],
            &[255, 255, 255, 255, 1],
            &[0, 0, 0, 9, 1, b'{'],
            &[0, 0, 0, 1, 2, 0],
            &[0, 0, 0, 2, 1, b'{', b'x'],
        ] {
            let mut bytes = bytes;
            assert!(FromEdge::receive(&mut bytes).await.is_err(), "{bytes:?}");
        }
    }
}
