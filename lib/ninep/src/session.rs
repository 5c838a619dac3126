//! What one connection may do.
