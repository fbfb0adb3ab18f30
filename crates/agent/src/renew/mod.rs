//! Renewing the certificate: what to do next is decided by a pure function of what is saved and of
//! the time, and done one saved step at a time.

mod answer;
mod perform;
mod plan;

pub(crate) use answer::KEY_DENIED;
pub use answer::Setback;
pub(crate) use perform::received;
pub use perform::{Outcome, Progress, RenewError, Renewal};
pub use plan::{Channel, Life, Proof, Situation, Stage, Step, Trigger, is_expired, next_step};
