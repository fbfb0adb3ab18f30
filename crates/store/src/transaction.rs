//! What a use case holds while it reads or writes.

use std::ops::{Deref, DerefMut};

use crate::connection::Connection;
use crate::records::journal::Journal;

/// A read transaction: one consistent view of every record. Its methods are in `records/`.
pub struct Reading<'c> {
    pub(crate) connection: Connection<'c>,
}

/// A write transaction: everything done through it happens together or not at all. It reads what
/// it has written, but for audit entries, which are written with their group.
pub struct Writing<'c> {
    reading: Reading<'c>,
    pub(crate) journal: &'c mut Journal,
}

impl<'c> Reading<'c> {
    pub(crate) const fn new(connection: Connection<'c>) -> Self {
        Self { connection }
    }
}

impl<'c> Writing<'c> {
    pub(crate) const fn new(connection: Connection<'c>, journal: &'c mut Journal) -> Self {
        Self { reading: Reading::new(connection), journal }
    }
}

impl<'c> Deref for Writing<'c> {
    type Target = Reading<'c>;
    fn deref(&self) -> &Reading<'c> {
        &self.reading
    }
}

impl<'c> DerefMut for Writing<'c> {
    fn deref_mut(&mut self) -> &mut Reading<'c> {
        &mut self.reading
    }
}
