//! The command line: a file per subcommand.

mod arguments;
mod documents;
mod enroll;
mod forward;
mod logging;
mod output;
mod renew;
mod run;
mod start;
mod status;
mod unenroll;

pub(crate) use start::main;
