//! Orders by decision tables, and of an edge with real sockets from an authority that is real in
//! all but its name.

mod orders;
mod plans;
mod renewals;
mod rig;
mod wicked;
