//! Sockets, TLS, compression, buffers: how bytes come and go.
//!
//! Owns [`Stream`] and what makes one (listen, connect, TLS on either side, the compressed protocol
//! toward clients), the buffer shelf, the name that lives as long as the process, the whole-packet I/O
//! of logins and the order of their packets toward clients. Never looks into a packet of the command
//! phase beyond its header, never decides who may connect.

pub mod compress;
mod dial;
mod handover;
mod handshake;
mod lever;
mod lifeline;
mod listener;
pub mod packets;
mod proxy_header;
mod shelf;
mod socket;
mod stream;
mod tls;

pub use compress::{Algorithm, Engines};
pub use dial::{connect, resolve};
pub use handover::Handover;
pub use handshake::{Handshake, HandshakeError, LOGIN_PACKET};
pub use lever::Lever;
pub use lifeline::Lifeline;
pub use listener::{Listener, own_user};
pub use packets::{TooLong, read_packet};
pub use proxy_header::read_proxy_header;
pub use shelf::Shelf;
pub use socket::Socket;
pub use stream::Stream;
pub use tls::{ClientSideTls, TargetTls, TlsError};
