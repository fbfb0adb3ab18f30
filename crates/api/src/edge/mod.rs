//! What an edge elsewhere and its authority say to each other.

pub mod envelope;
pub mod frame;
