//! Telling people of alerts: whom, in which words, and again until it has arrived.

mod alertmanager;
mod mail;
mod post;
mod tell;
mod webhook;

pub(crate) use tell::{tell, whom};
