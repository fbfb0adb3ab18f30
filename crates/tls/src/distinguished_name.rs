//! Distinguished names as texts.
