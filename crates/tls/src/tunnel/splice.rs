//! Lets two streams talk, each until it has said all it had to say.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::buffers::Buffer;

/// How long a tunnel may last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpliceLimits {
    /// Without a byte either way; `None`: for ever.
    pub idle: Option<Duration>,
    /// In all; `None`: for ever.
    pub lifetime: Option<Duration>,
}

/// How much has gone over a tunnel; it can be read while the tunnel is open.
#[derive(Debug, Default)]
pub struct Traffic {
    forth: AtomicU64,
    back: AtomicU64,
}

impl Traffic {
    /// Octets from the near end to the far one.
    #[must_use]
    pub fn forth(&self) -> u64 {
        self.forth.load(Ordering::Relaxed)
    }

    /// Octets from the far end to the near one.
    #[must_use]
    pub fn back(&self) -> u64 {
        self.back.load(Ordering::Relaxed)
    }
}

/// How a tunnel ended.
#[derive(Debug)]
pub enum Ended {
    /// Both ends had said all they had to say.
    Done,
    /// Nothing went over it for too long.
    Idle,
    /// It had lasted as long as it may.
    Lifetime,
    /// An end was lost.
    Broken(io::Error),
}

impl Ended {
    /// In a word, for logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "closed",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::Broken(_) => "broken",
        }
    }
}

/// Carries bytes both ways until both ends are done. An end that says goodbye is not cut off from what
/// the other still has to say: each direction is closed on its own. Nothing is read from an end while
/// what was read last cannot be written to the other.
pub async fn splice<N, F>(near: &mut N, far: &mut F, limits: SpliceLimits, traffic: &Traffic) -> Ended
where
    N: AsyncRead + AsyncWrite + Unpin,
    F: AsyncRead + AsyncWrite + Unpin,
{
    let began = Instant::now();
    let mut watch = Watch { limits, began, moved: began };
    let mut alarm = pin!(watch.next().map(sleep_until));
    let (mut forth, mut back) = (Direction::default(), Direction::default());
    std::future::poll_fn(|cx| {
        let before = (traffic.forth(), traffic.back());
        let there = forth.poll(cx, Pin::new(&mut *near), Pin::new(&mut *far), &traffic.forth);
        let here = back.poll(cx, Pin::new(&mut *far), Pin::new(&mut *near), &traffic.back);
        match (there, here) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                return Poll::Ready(Ended::Broken(error));
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ended::Done),
            (Poll::Pending, _) | (_, Poll::Pending) => {}
        }
        if before != (traffic.forth(), traffic.back()) {
            watch.moved = Instant::now();
        }
        let Some(mut alarm) = alarm.as_mut().as_pin_mut() else { return Poll::Pending };
        loop {
            ready!(alarm.as_mut().poll(cx));
            if let Some(ended) = watch.judge(Instant::now()) {
                return Poll::Ready(ended);
            }
            match watch.next() {
                Some(next) => alarm.as_mut().reset(next),
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// What is known of a tunnel's time.
struct Watch {
    limits: SpliceLimits,
    began: Instant,
    moved: Instant,
}

impl Watch {
    /// When there is something to be judged next.
    fn next(&self) -> Option<Instant> {
        let idle = self.limits.idle.map(|idle| self.moved + idle);
        let lifetime = self.limits.lifetime.map(|lifetime| self.began + lifetime);
        idle.into_iter().chain(lifetime).min()
    }

    fn judge(&self, now: Instant) -> Option<Ended> {
        if self.limits.lifetime.is_some_and(|lifetime| now >= self.began + lifetime) {
            return Some(Ended::Lifetime);
        }
        self.limits.idle.is_some_and(|idle| now >= self.moved + idle).then_some(Ended::Idle)
    }
}

/// One of the two directions.
#[derive(Default)]
struct Direction {
    step: Step,
    is_unflushed: bool,
}

#[derive(Default)]
enum Step {
    #[default]
    Reading,
    Writing {
        buffer: Buffer,
        from: usize,
        to: usize,
    },
    Closing,
    Closed,
}

impl Direction {
    fn poll<R: AsyncRead, W: AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
        moved: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        loop {
            self.step = match &mut self.step {
                Step::Reading => match poll_some(cx, reader.as_mut())? {
                    Poll::Ready(Some((buffer, to))) => Step::Writing { buffer, from: 0, to },
                    Poll::Ready(None) => Step::Closing,
                    Poll::Pending => {
                        if self.is_unflushed {
                            ready!(writer.as_mut().poll_flush(cx))?;
                            self.is_unflushed = false;
                        }
                        return Poll::Pending;
                    }
                },
                Step::Writing { buffer, from, to } => {
                    let rest = buffer.get(*from..*to).unwrap_or_default();
                    let written = ready!(writer.as_mut().poll_write(cx, rest))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    self.is_unflushed = true;
                    moved.fetch_add(written as u64, Ordering::Relaxed);
                    *from += written;
                    if *from < *to {
                        continue;
                    }
                    Step::Reading
                }
                Step::Closing => {
                    ready!(writer.as_mut().poll_shutdown(cx))?;
                    Step::Closed
                }
                Step::Closed => return Poll::Ready(Ok(())),
            };
        }
    }
}

/// What there is to be read, in a buffer that is held only if there is something; `None`: the end.
fn poll_some<R: AsyncRead>(
    cx: &mut Context<'_>,
    reader: Pin<&mut R>,
) -> Poll<io::Result<Option<(Buffer, usize)>>> {
    let mut buffer = Buffer::take();
    let mut room = ReadBuf::new(&mut buffer);
    ready!(reader.poll_read(cx, &mut room))?;
    let filled = room.filled().len();
    Poll::Ready(Ok((filled > 0).then_some((buffer, filled))))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;
    use std::sync::Arc;

    struct Tunnel {
        near: DuplexStream,
        far: DuplexStream,
        traffic: Arc<Traffic>,
        ended: JoinHandle<Ended>,
    }

    fn tunnel(limits: SpliceLimits) -> Tunnel {
        let ((near, mut one), (far, mut other)) = (duplex(1000), duplex(1000));
        let traffic = Arc::<Traffic>::default();
        let counted = Arc::clone(&traffic);
        let ended = tokio::spawn(async move { splice(&mut one, &mut other, limits, &counted).await });
        Tunnel { near, far, traffic, ended }
    }

    #[tokio::test]
    async fn an_end_that_has_said_goodbye_still_hears_the_other() {
        let mut tunnel = tunnel(SpliceLimits::default());
        tunnel.near.write_all(b"question").await.unwrap();
        tunnel.near.shutdown().await.unwrap();
        let mut heard = Vec::new();
        tunnel.far.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"question");
        let answer = vec![7; 300_000];
        let (said, heard) = (answer.clone(), &mut Vec::new());
        let telling = tokio::spawn(async move {
            tunnel.far.write_all(&said).await.unwrap();
            tunnel.far.shutdown().await.unwrap();
        });
        tunnel.near.read_to_end(heard).await.unwrap();
        assert!(*heard == answer);
        telling.await.unwrap();
        assert!(matches!(tunnel.ended.await.unwrap(), Ended::Done));
        assert_eq!((tunnel.traffic.forth(), tunnel.traffic.back()), (8, 300_000));
    }

    #[test]
    fn silence_ends_it_a_word_puts_that_off_and_a_life_has_an_end() {
        let began = Instant::now();
        let second = |count| began + Duration::from_secs(count);
        let limits =
            SpliceLimits { idle: Some(Duration::from_secs(10)), lifetime: Some(Duration::from_secs(25)) };
        let mut watch = Watch { limits, began, moved: began };
        assert_eq!(watch.next(), Some(second(10)));
        assert!(watch.judge(second(9)).is_none());
        assert!(matches!(watch.judge(second(10)), Some(Ended::Idle)));
        watch.moved = second(9);
        assert!(watch.judge(second(10)).is_none());
        assert_eq!(watch.next(), Some(second(19)));
        watch.moved = second(18);
        assert_eq!(watch.next(), Some(second(25)));
        assert!(matches!(watch.judge(second(25)), Some(Ended::Lifetime)));
        let endless = Watch { limits: SpliceLimits::default(), began, moved: began };
        assert!(endless.next().is_none() && endless.judge(second(1_000_000)).is_none());
    }

    #[tokio::test]
    async fn a_tunnel_lasts_no_longer_than_it_may_however_much_is_said() {
        let lifetime = Some(Duration::from_millis(100));
        let mut tunnel = tunnel(SpliceLimits { idle: Some(Duration::from_secs(60)), lifetime });
        let (mut heard, began) = ([0; 1], Instant::now());
        while tunnel.far.write_all(b"x").await.is_ok() && tunnel.near.read_exact(&mut heard).await.is_ok() {
            assert!(began.elapsed() < Duration::from_secs(20));
        }
        assert!(matches!(tunnel.ended.await.unwrap(), Ended::Lifetime));
    }

    #[tokio::test]
    async fn an_end_that_does_not_listen_stops_the_other_and_times_out() {
        let idle = Some(Duration::from_millis(100));
        let mut tunnel = tunnel(SpliceLimits { idle, lifetime: None });
        let flood = vec![0; 1_000_000];
        assert!(tunnel.near.write_all(&flood).await.is_err(), "nobody takes it");
        assert!(matches!(tunnel.ended.await.unwrap(), Ended::Idle));
        assert!(tunnel.traffic.forth() <= 1000, "{}", tunnel.traffic.forth());
    }

    #[tokio::test]
    async fn an_end_that_is_lost_breaks_it() {
        let tunnel = tunnel(SpliceLimits::default());
        let Tunnel { mut near, far, ended, .. } = tunnel;
        drop(far);
        near.write_all(b"hello").await.unwrap();
        assert!(matches!(ended.await.unwrap(), Ended::Broken(_)));
    }
}
