//! The state machine of a renewal, as a pure function.
//!
//! ```text
//! (certificate in use) ─ due or asked ─▶ MakeKey ─saved─▶ Request ─saved─▶ Confirm ─saved─▶ (new one in use)
//! ```
//!
//! Every arrow is one write of the configuration. Being killed before a write repeats the step
//! before it, which changes nothing: a request with the same key yields the same certificate, and
//! confirming twice is confirming once. A second key is never made while one is on its way.

use countersign_core::certificate::{Lifetime, expiry_has_passed};
use countersign_core::time::Timestamp;

use crate::certificate;
use crate::config::{Enrolment, HeldCertificate};

/// What may set a renewal off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The time of day alone.
    Clock,
    /// The control plane or a person asked for one now.
    Asked,
}

/// How possession of a key is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// In the handshake, when there is a certificate that can still be shown; else by a signature.
    Handshake,
    /// By a signature over a challenge, on a connection without a client certificate: works behind
    /// foreign proxies and in quarantine.
    Signature,
}

/// The life of a certificate, as far as it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it began.
    pub issued_at: Option<Timestamp>,
    /// Its end; `None` when the saved text cannot be read, which counts as past.
    pub expires_at: Option<Timestamp>,
}

impl Life {
    /// The life of a held certificate: from when it was received or, should that be unreadable or
    /// outside its validity, from its notBefore on.
    #[must_use]
    pub fn of(held: &HeldCertificate) -> Self {
        let expires_at = Timestamp::parse(&held.expires).ok();
        let not_before = certificate::not_before(&held.leaf_pem).ok();
        let received = held.issued.as_deref().and_then(|text| Timestamp::parse(text).ok());
        let is_plausible = |at: &Timestamp| {
            not_before.is_none_or(|begin| *at >= begin) && expires_at.is_none_or(|end| *at < end)
        };
        Self { issued_at: received.filter(is_plausible).or(not_before), expires_at }
    }

    /// Whether its end has passed. Fails closed: an end that cannot be read has passed.
    #[must_use]
    pub fn is_expired(self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now > expires_at)
    }

    /// From when on the agent renews it by its own clock: two thirds of the life, plus up to a
    /// tenth of what is left after that, by `spread` (0 to 1000, the device's own). `None`: now.
    #[must_use]
    pub fn renewal_at(self, spread: u16) -> Option<Timestamp> {
        let lifetime = Lifetime { issued_at: self.issued_at?, expires_at: self.expires_at? };
        Some(lifetime.renewal_turn(spread))
    }
}

/// How far a renewal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// None is on its way.
    Idle,
    /// A key has been made.
    Key,
    /// A certificate has been issued for it.
    Certificate(Life),
}

/// What the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The certificate in use; `None` when the device never had one.
    pub current: Option<Life>,
    /// How far a renewal has come.
    pub stage: Stage,
    /// What may set one off.
    pub trigger: Trigger,
    /// How possession is shown.
    pub channel: Channel,
    /// How late within the spread this device renews by its own clock, 0 to 1000.
    pub spread: u16,
}

impl Situation {
    /// The situation that the saved state is in.
    #[must_use]
    pub fn of(enrolment: &Enrolment, trigger: Trigger, channel: Channel, spread: u16) -> Self {
        let stage = match &enrolment.pending {
            None => Stage::Idle,
            Some(pending) => pending
                .certificate
                .as_ref()
                .map_or(Stage::Key, |issued| Stage::Certificate(Life::of(&issued.certificate))),
        };
        let current = enrolment.current.as_ref().map(|credential| Life::of(&credential.certificate));
        Self { current, stage, trigger, channel, spread }
    }
}

/// Whose possession is shown, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The certificate in use, in the handshake.
    Handshake,
    /// A signature by the key of the certificate in use.
    CurrentKey,
    /// A signature by the key on its way: for the first certificate, it is the only key there is.
    PendingKey,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: there is neither a certificate nor a key that the control plane knows.
    Nothing,
    /// Nothing before this time of day.
    Wait(Timestamp),
    /// Make a key and save it.
    MakeKey,
    /// Ask for a certificate for the key on its way, and save it.
    Request(Proof),
    /// Confirm the new certificate, by showing it or by a signature of its key, and save that it
    /// is the one in use.
    Confirm(Channel),
}

/// Decides what to do next.
#[must_use]
pub fn next_step(situation: &Situation, now: Timestamp) -> Step {
    match (situation.stage, situation.current) {
        (Stage::Certificate(life), _) => Step::Confirm(match situation.channel {
            Channel::Handshake if !life.is_expired(now) => Channel::Handshake,
            Channel::Handshake | Channel::Signature => Channel::Signature,
        }),
        (Stage::Key, None) => Step::Request(Proof::PendingKey),
        (Stage::Key, Some(life)) => Step::Request(match situation.channel {
            Channel::Handshake if !life.is_expired(now) => Proof::Handshake,
            Channel::Handshake | Channel::Signature => Proof::CurrentKey,
        }),
        (Stage::Idle, None) => Step::Nothing,
        (Stage::Idle, Some(life)) => match (situation.trigger, life.renewal_at(situation.spread)) {
            (Trigger::Clock, Some(at)) if now < at => Step::Wait(at),
            (Trigger::Clock | Trigger::Asked, _) => Step::MakeKey,
        },
    }
}

/// Whether the certificate can no longer be shown. Fails closed, like the seed: an expiry that
/// cannot be read has passed.
#[must_use]
pub fn is_expired(held: &HeldCertificate, now: Timestamp) -> bool {
    expiry_has_passed(&held.expires, now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn life() -> impl Strategy<Value = Life> {
        (prop::option::of(0_i64..2000), prop::option::of(0_i64..2000)).prop_map(|(issued, expires)| Life {
            issued_at: issued.map(Timestamp::from_secs),
            expires_at: expires.map(Timestamp::from_secs),
        })
    }

    fn situation() -> impl Strategy<Value = Situation> {
        let stage = prop_oneof![Just(Stage::Idle), Just(Stage::Key), life().prop_map(Stage::Certificate)];
        let trigger = prop_oneof![Just(Trigger::Clock), Just(Trigger::Asked)];
        let channel = prop_oneof![Just(Channel::Handshake), Just(Channel::Signature)];
        (prop::option::of(life()), stage, trigger, channel, 0_u16..=1000).prop_map(
            |(current, stage, trigger, channel, spread)| Situation {
                current,
                stage,
                trigger,
                channel,
                spread,
            },
        )
    }

    /// What a successful step leaves behind.
    fn after(situation: Situation, step: Step, fresh: Life) -> Situation {
        match step {
            Step::Nothing | Step::Wait(_) => situation,
            Step::MakeKey => Situation { stage: Stage::Key, ..situation },
            Step::Request(_) => Situation { stage: Stage::Certificate(fresh), ..situation },
            Step::Confirm(_) => {
                let Stage::Certificate(life) = situation.stage else { panic!("nothing to confirm") };
                Situation { current: Some(life), stage: Stage::Idle, trigger: Trigger::Clock, ..situation }
            }
        }
    }

    proptest! {
        #[test]
        fn a_second_key_is_never_made(situation in situation(), now in 0_i64..3000) {
            if next_step(&situation, Timestamp::from_secs(now)) == Step::MakeKey {
                prop_assert_eq!(situation.stage, Stage::Idle);
                prop_assert!(situation.current.is_some());
            }
        }

        #[test]
        fn an_expired_certificate_is_never_shown(situation in situation(), now in 0_i64..3000) {
            let now = Timestamp::from_secs(now);
            match next_step(&situation, now) {
                Step::Request(Proof::Handshake) =>
                    prop_assert!(situation.current.is_some_and(|life| !life.is_expired(now))),
                Step::Confirm(Channel::Handshake) => match situation.stage {
                    Stage::Certificate(life) => prop_assert!(!life.is_expired(now)),
                    Stage::Idle | Stage::Key => prop_assert!(false),
                },
                Step::Nothing | Step::Wait(_) | Step::MakeKey | Step::Request(_) | Step::Confirm(_) => {}
            }
            if situation.channel == Channel::Signature {
                let step = next_step(&situation, now);
                prop_assert!(!matches!(
                    step, Step::Request(Proof::Handshake) | Step::Confirm(Channel::Handshake)));
            }
        }

        #[test]
        fn a_renewal_on_its_way_is_always_resumed(situation in situation(), now in 0_i64..3000) {
            let step = next_step(&situation, Timestamp::from_secs(now));
            match situation.stage {
                Stage::Idle => {}
                Stage::Key => prop_assert!(matches!(step, Step::Request(_))),
                Stage::Certificate(_) => prop_assert!(matches!(step, Step::Confirm(_))),
            }
        }

        #[test]
        fn waits_only_for_what_comes_and_then_acts(
            issued in 0_i64..100_000, days in 1_i64..=365, spread in 0_u16..=1000, now in 0_i64..40_000_000,
        ) {
            let life = Life {
                issued_at: Some(Timestamp::from_secs(issued)),
                expires_at: Some(Timestamp::from_secs(issued + days * 86_400)),
            };
            let situation = Situation {
                current: Some(life), stage: Stage::Idle, trigger: Trigger::Clock,
                channel: Channel::Handshake, spread,
            };
            let now = Timestamp::from_secs(now);
            let step = next_step(&situation, now);
            if let Step::Wait(at) = step {
                prop_assert!(now < at);
                prop_assert_eq!(next_step(&situation, at), Step::MakeKey);
                let whole = life.expires_at.unwrap().since(life.issued_at.unwrap());
                let used = at.since(life.issued_at.unwrap());
                prop_assert!(used * 3 >= whole * 2 && used * 10 <= whole * 7);
            } else {
                prop_assert_eq!(step, Step::MakeKey);
            }
        }

        #[test]
        fn when_all_goes_well_three_steps_lead_to_a_certificate_in_use(
            situation in situation(), now in 0_i64..3000,
        ) {
            let now = Timestamp::from_secs(now);
            let fresh = Life { issued_at: Some(now), expires_at: Some(Timestamp::from_secs(1_000_000)) };
            let mut situation = situation;
            let mut steps = 0;
            loop {
                let step = next_step(&situation, now);
                if matches!(step, Step::Nothing | Step::Wait(_)) {
                    break;
                }
                situation = after(situation, step, fresh);
                steps += 1;
                // A stale certificate on its way is confirmed first and then renewed itself.
                prop_assert!(steps <= 4);
            }
            prop_assert!(situation.stage == Stage::Idle);
        }
    }

    #[test]
    fn a_fleet_that_enrolled_in_an_hour_does_not_renew_in_one() {
        let fleet = (0..10_000_u32).map(|number| {
            let issued_at = Timestamp::from_secs(i64::from(number % 3600));
            let lifetime = Lifetime { issued_at, expires_at: issued_at + DAY * 90 };
            // What the control plane says, and what the agent does by itself.
            let [told, own] = [7919, 104_729].map(|prime| u16::try_from(number * prime % 1001).unwrap());
            (lifetime, lifetime.renewal_turn(told), own)
        });
        let fleet: Vec<_> = fleet.collect();
        let renewed_after = |hours: u32| {
            let now = Timestamp::from_secs(0) + DAY * 60 + DAY / 24 * hours;
            let renews = |(lifetime, turn, spread): &&(Lifetime, Timestamp, u16)| {
                let life =
                    Life { issued_at: Some(lifetime.issued_at), expires_at: Some(lifetime.expires_at) };
                let situation = Situation {
                    current: Some(life),
                    stage: Stage::Idle,
                    trigger: if now < *turn { Trigger::Clock } else { Trigger::Asked },
                    channel: Channel::Handshake,
                    spread: *spread,
                };
                next_step(&situation, now) == Step::MakeKey
            };
            fleet.iter().filter(renews).count()
        };
        let by_hour: Vec<_> = (0..=73).map(renewed_after).collect();
        let most = by_hour.windows(2).map(|hour| hour[1] - hour[0]).max();
        assert!(most.is_some_and(|most| most <= fleet.len() / 20), "{by_hour:?}");
        assert!(by_hour[0] <= 10, "two thirds of the life come first");
        assert_eq!(by_hour.last(), Some(&fleet.len()), "all of them within three days");
    }

    #[test]
    fn fails_closed_on_an_expiry_that_cannot_be_read() {
        let held = HeldCertificate {
            leaf_pem: String::new(),
            chain_pem: String::new(),
            issued: Some("2026-01-01T00:00:00Z".to_owned()),
            expires: "in a while".to_owned(),
        };
        let now = Timestamp::parse("2026-01-02T00:00:00Z").unwrap();
        assert!(Life::of(&held).is_expired(now) && is_expired(&held, now));
        let situation = Situation {
            current: Some(Life::of(&held)),
            stage: Stage::Key,
            trigger: Trigger::Clock,
            channel: Channel::Handshake,
            spread: 0,
        };
        assert_eq!(next_step(&situation, now), Step::Request(Proof::CurrentKey));
    }
}
