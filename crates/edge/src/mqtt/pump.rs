//! Carries a conversation: both ways, with bounded buffers, and the sink between.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::warn;

use super::budget::Budget;
use super::holder::Holder;
use super::leg::Leg;
use super::session::{End, Incident, Out, State, Step, Tapped};
use super::sink::{Fate, Message, SetAside, Sink, Taking};
use super::wire::{Fault, Qos, Reason, next_frame};

/// How much may wait for one side before the other is read no further.
const HIGH: usize = 64 * 1024;

/// How many messages may wait for the sink.
const HELD: usize = 64;

/// How far the longest wait reaches.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// A message that the sink has not taken yet, and what goes to the broker after it.
struct Held {
    taking: Option<Taking>,
    fate: Fate,
    qos: Qos,
    packet_id: Option<u16>,
    /// How much of the bytes is the message itself.
    length: usize,
    bytes: Vec<u8>,
}

/// How messages reach the sink.
pub(super) struct Tap {
    pub(super) sink: Arc<dyn Sink>,
    /// Completes what the packet says by what is known of its sender.
    pub(super) of: Box<dyn Fn(Tapped) -> Message + Send + Sync>,
}

/// Both sides of a conversation.
pub(super) struct Pump<D, U> {
    pub(super) device: Leg<D>,
    pub(super) upstream: Leg<U>,
    pub(super) state: State,
    holder: Arc<Holder>,
    tap: Option<Tap>,
    held: VecDeque<Held>,
    budget: Budget,
    /// After how much silence the device counts as gone.
    silence: Duration,
    slow: Duration,
    limit: usize,
    heard: Instant,
    resume: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    is_leaving: bool,
    pub(super) incidents: Vec<Incident>,
}

impl<D, U> Pump<D, U>
where
    D: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(
        (device, upstream): (Leg<D>, Leg<U>),
        state: State,
        (holder, tap): (Arc<Holder>, Option<Tap>),
        terms: &super::terms::Terms,
        silence: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            device,
            upstream,
            state,
            holder,
            tap,
            held: VecDeque::new(),
            budget: Budget::new(terms, now),
            silence,
            slow: terms.slow_reader,
            limit: terms.packet_bytes,
            heard: now,
            resume: None,
            timer: Box::pin(sleep_until(now + silence)),
            is_leaving: false,
            incidents: Vec::new(),
        }
    }

    /// Carries until there is something to be written down, or the end comes.
    pub(super) async fn carry(&mut self) -> Option<End> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        loop {
            match self.turn(cx) {
                Err(end) => return Poll::Ready(Some(end)),
                Ok(_) if !self.incidents.is_empty() => return Poll::Ready(None),
                Ok(true) => continue,
                Ok(false) => {}
            }
            let now = Instant::now();
            if let Some(end) = self.overdue(now) {
                return Poll::Ready(Some(end));
            }
            let next = self.next_moment(now);
            // A timer that fires early only looks again.
            if next < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(next);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Does what can be done at once. Whether there may be more.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let now = Instant::now();
        let mut is_moved = self.settle(cx)?;
        // Everything that has come is taken before anything goes out, so that many small packets go out as one;
        // and what was taken goes out even if the end came behind it.
        let mut taken = self.take(cx, now);
        while let Ok(true) = taken
            && self.incidents.is_empty()
        {
            is_moved = true;
            taken = self.take(cx, now);
        }
        is_moved |= self.upstream.poll_drain(cx, now).map_err(|_gone| End::UpstreamLost)?;
        is_moved |= self.device.poll_drain(cx, now).map_err(|_gone| End::Vanished)?;
        is_moved |= taken?;
        if self.is_leaving && self.held.is_empty() && self.upstream.is_drained() {
            return Err(End::Goodbye);
        }
        Ok(is_moved)
    }

    /// Takes what has come from both sides, as far as there is room for it. Whether there may be more.
    fn take(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        let mut is_moved = self.hear_device(now)?;
        is_moved |= self.hear_upstream()?;
        if self.is_leaving {
            return Ok(is_moved);
        }
        if self.hears_device() {
            is_moved |= self.device.poll_fill(cx).map_err(|_gone| End::Vanished)?;
            if self.device.is_ended() && matches!(self.device.peek(self.limit), Ok(None)) {
                return Err(End::Vanished);
            }
        } else {
            // Nobody listens: this is no silence of the device's.
            self.heard = now;
        }
        if self.device.waiting() < HIGH {
            is_moved |= self.upstream.poll_fill(cx).map_err(|_gone| End::UpstreamLost)?;
            if self.upstream.is_ended() && matches!(self.upstream.peek(self.limit), Ok(None)) {
                return Err(End::UpstreamLost);
            }
        }
        Ok(is_moved)
    }

    /// Lets go to the broker what the sink has kept, in order.
    fn settle(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        for held in &mut self.held {
            let Some(taking) = &mut held.taking else { continue };
            if let Poll::Ready(taken) = taking.as_mut().poll(cx) {
                held.fate = taken.map_err(|error| {
                    let reason = std::error::Error::source(&error).map(tracing::field::display);
                    warn!(%error, reason, "message not kept, connection ended");
                    End::Refused(Reason::ServerBusy)
                })?;
                held.taking = None;
            }
        }
        let mut is_moved = false;
        while let Some(mut done) = self.held.pop_front_if(|held| held.taking.is_none()) {
            if done.fate == Fate::SetAside {
                done.bytes.drain(..done.length);
                self.state.set_aside(done.qos, done.packet_id, &mut self.device.outbox);
            }
            self.upstream.outbox.extend_from_slice(&done.bytes);
            is_moved = true;
        }
        Ok(is_moved)
    }

    /// Whether more from the device can be taken.
    fn hears_device(&self) -> bool {
        !self.is_leaving
            && self.resume.is_none()
            && self.held.len() < HELD
            && self.upstream.waiting() < HIGH
            && self.device.waiting() < HIGH
            && !self.state.is_full()
    }

    fn hear_device(&mut self, now: Instant) -> Result<bool, End> {
        let mut is_moved = false;
        self.resume = self.budget.wait(now);
        while self.hears_device() {
            let (inbox, down) = self.device.split();
            let frame = match next_frame(inbox, self.limit) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(fault) => return Err(refused(fault)),
            };
            self.holder.may_send(frame.kind)?;
            let length = frame.bytes.len();
            let up = match self.held.back_mut() {
                Some(last) => &mut last.bytes,
                None => &mut self.upstream.outbox,
            };
            let mut out = Out { up, down, incidents: &mut self.incidents };
            let step = self.state.hear_device(frame, &mut out).map_err(refused)?;
            self.device.advance(length);
            self.heard = now;
            self.budget.take(length);
            self.resume = self.budget.wait(now);
            is_moved = true;
            match step {
                Step::On => {}
                Step::Tap(tapped, bytes) => {
                    let (qos, packet_id, length) = (tapped.qos, tapped.packet_id, bytes.len());
                    let taking = self.tap.as_ref().map(|tap| tap.sink.take((tap.of)(tapped)));
                    self.held.push_back(Held { taking, fate: Fate::Kept, qos, packet_id, length, bytes });
                }
                Step::SetAside(tapped, code) => {
                    if let Some(tap) = &self.tap {
                        let payload_bytes = tapped.payload_bytes;
                        tap.sink.set_aside(SetAside { message: (tap.of)(tapped), code, payload_bytes });
                    }
                }
                Step::End(End::Goodbye) => self.is_leaving = true,
                Step::End(end) => return Err(end),
            }
        }
        Ok(is_moved)
    }

    fn hear_upstream(&mut self) -> Result<bool, End> {
        let mut is_moved = false;
        while self.device.waiting() < HIGH {
            let lost = |fault: Fault| {
                warn!(%fault, "broker not understood");
                End::UpstreamLost
            };
            let (inbox, upstream_outbox) = self.upstream.split();
            let Some(frame) = next_frame(inbox, self.limit).map_err(lost)? else { break };
            let length = frame.bytes.len();
            let up = match self.held.back_mut() {
                Some(last) => &mut last.bytes,
                None => upstream_outbox,
            };
            let mut out = Out { up, down: &mut self.device.outbox, incidents: &mut self.incidents };
            let ended = self.state.hear_upstream(frame, &mut out).map_err(lost)?;
            self.upstream.advance(length);
            is_moved = true;
            if let Some(end) = ended {
                return Err(end);
            }
        }
        Ok(is_moved)
    }

    fn overdue(&self, now: Instant) -> Option<End> {
        if self.hears_device() && now >= self.heard + self.silence {
            return Some(End::Refused(Reason::KeepAliveTimeout));
        }
        if !self.device.is_drained() && now >= self.device.moved + self.slow {
            return Some(End::Refused(Reason::QuotaExceeded));
        }
        (!self.upstream.is_drained() && now >= self.upstream.moved + self.slow).then_some(End::UpstreamLost)
    }

    /// When there is something to be looked at again.
    fn next_moment(&self, now: Instant) -> Instant {
        let silence = self.hears_device().then(|| self.heard + self.silence);
        let slow = (!self.device.is_drained()).then(|| self.device.moved + self.slow);
        let stuck = (!self.upstream.is_drained()).then(|| self.upstream.moved + self.slow);
        [silence, slow, stuck, self.resume].into_iter().flatten().min().unwrap_or(now + FAR)
    }
}

fn refused(fault: Fault) -> End {
    tracing::debug!(%fault, "packet refused");
    End::Refused(fault.reason())
}
