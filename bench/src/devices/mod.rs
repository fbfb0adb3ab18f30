//! A million devices in PostgreSQL, and three edges elsewhere: what people look at, what devices do, what falls.

mod edges;
mod measure;
mod pages;

pub(crate) use measure::measure;
