//! Scripts for every behaviour, the ten laws, and a simulated node that answers by chance.

mod aborts;
mod caught;
mod chance;
mod chaos;
mod crashes;
mod failures;
mod laws;
mod neighbours;
mod node;
mod numbers;
mod pauses;
mod repairs;
mod replacing;
mod rolling;
mod script;
mod stuck;
mod text;
mod verbs;
mod watching;
mod ways_back;
mod world;
