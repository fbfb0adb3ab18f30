//! A certificate for the doors from a public CA, by ACME (RFC 8555): obtained, kept in the data directory,
//! renewed at two thirds of its life. The CA asks for each name over plain HTTP (http-01), which the redirect
//! answers. Start reading at [`Acme::keep`].

mod keeper;
mod kept;
mod order;
mod transport;

pub(crate) use keeper::Acme;
