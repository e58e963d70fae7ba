//! A running node on a port of its own, asked over HTTP: the requests that a real validator client
//! was recorded to make, and everything that a hostile one could send.

mod eth1;
mod events;
mod hostile;
mod http;
mod payloads;
mod queries;
mod restart;
mod slow;
mod validators;
mod world;
