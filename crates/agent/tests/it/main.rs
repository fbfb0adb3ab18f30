//! The agent against a control plane that says what the contract says, and against one that does
//! not: an impostor, one that redirects, one that hangs, one that is overloaded.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod agent_process;
mod control_plane;
mod credentials;
mod device;
mod dying_disk;
mod in_process;
mod sockets;

mod commands;
mod connection;
mod enrolment;
mod interruptions;
mod kills;
mod patience;
mod private_files;
mod quarantine;
mod redirects;
mod reference;
mod renewal;
mod reports;
mod rotation;
mod service;
mod settings;
mod trust;
mod unenrolment;
