//! A certificate for the doors from a public CA, by ACME (RFC 8555): obtained, kept in the data directory,
//! renewed at two thirds of its life. The CA looks for each name over plain HTTP (http-01), which the redirect
//! answers, or over TLS (tls-alpn-01), which every door does. Start reading at [`Acme::keep`].

mod keeper;
mod kept;
mod order;
mod transport;
mod validation;

pub(crate) use keeper::Acme;
