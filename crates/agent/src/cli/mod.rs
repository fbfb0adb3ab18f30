//! The command line: a file per subcommand.

mod arguments;
mod enroll;
mod output;
mod renew;
mod run;
mod start;
mod status;

pub(crate) use start::main;
