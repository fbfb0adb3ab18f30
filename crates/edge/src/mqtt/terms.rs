//! What a device may take, and what happens when it asks for what is not its own.

use std::time::Duration;

/// What happens to a denied message of MQTT 3.1.1, which has no acknowledgement that says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnDenial {
    /// It is acknowledged, goes nowhere and is written down.
    #[default]
    AckAndQuarantine,
    /// The connection ends.
    Disconnect,
}

/// What one device may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long the first packet may take.
    pub connect_timeout: Duration,
    /// How long the broker may take to answer a CONNECT.
    pub upstream_timeout: Duration,
    /// The longest packet, in bytes.
    pub packet_bytes: usize,
    /// Packets a second, and as many at once.
    pub packets_per_second: u32,
    /// Bytes a second, and as many at once.
    pub bytes_per_second: u32,
    /// Messages of QoS 1 and 2 under way.
    pub inflight: u16,
    /// Topic aliases that are kept for it.
    pub topic_aliases: u16,
    /// The longest keep-alive.
    pub keep_alive: Duration,
    /// The longest delay of a will.
    pub will_delay: Duration,
    /// How long it may take nothing of what waits for it.
    pub slow_reader: Duration,
    /// Connections at once.
    pub sessions: usize,
    /// Retained messages, each on a topic of its own.
    pub retained_messages: usize,
    /// Their bytes together.
    pub retained_bytes: usize,
    /// What happens to a denied message of MQTT 3.1.1.
    pub on_denial: OnDenial,
    /// After how many denied messages a connection ends, where there is no other answer.
    pub strikes: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            upstream_timeout: Duration::from_secs(5),
            packet_bytes: 256 * 1024,
            packets_per_second: 1000,
            bytes_per_second: 4 * 1024 * 1024,
            inflight: 64,
            topic_aliases: 16,
            keep_alive: Duration::from_secs(1200),
            will_delay: Duration::from_secs(3600),
            slow_reader: Duration::from_secs(30),
            sessions: 4,
            retained_messages: 16,
            retained_bytes: 64 * 1024,
            on_denial: OnDenial::default(),
            strikes: 10,
        }
    }
}

impl Terms {
    /// The longest keep-alive in seconds, as packets say it.
    pub(super) fn keep_alive_seconds(&self) -> u16 {
        u16::try_from(self.keep_alive.as_secs()).unwrap_or(u16::MAX)
    }
}
