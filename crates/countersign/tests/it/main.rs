//! The real binary: command line, configuration, documentation, end to end.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a panic is how a test fails"
)]

mod a_device_lives_from_enrolment_to_renewal;
mod audit_verify_finds_a_changed_entry;
mod command_line_says_what_is_wrong;
mod docs_match_the_program;
mod harness;
mod healthcheck_asks_the_admin_listener;
mod program;
mod reference_is_generated;
mod serve_keeps_its_state_and_ends_in_order;
mod server;
mod the_transcript_of_the_readme_works;
