//! `edge run`: a process that runs doors and nothing else, attached to an authority elsewhere.

mod enrolment;
mod equipment;
mod hold;
mod messages;
mod reports;
mod run;
mod tokens;

pub(crate) use run::run;
