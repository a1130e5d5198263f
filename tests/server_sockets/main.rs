//! The server over real sockets, with a handler that echoes.

mod bind;
mod limits;
mod support;
mod tcp;
mod udp;
