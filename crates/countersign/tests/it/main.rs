//! The real binary: command line, configuration, documentation, end to end.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a panic is how a test fails"
)]

mod command_line_says_what_is_wrong;
mod docs_match_the_program;
mod healthcheck_asks_the_admin_listener;
mod program;
mod reference_is_generated;
mod the_transcript_of_the_readme_works;
