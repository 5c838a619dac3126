//! The laws of placement: cases through one `check` each, and chance beside a reference that
//! looks at everything.

mod cases;
mod list;
mod many;
mod random;
mod reference;
mod words;
