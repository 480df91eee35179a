//! What clients are shown who want TLS, and whether they must.

use std::sync::Arc;

use crate::net::ClientSideTls;

/// Read once a login, which goes by it to its end.
#[derive(Clone)]
pub struct ClientTls {
    /// `None`: TLS is off.
    pub side: Option<Arc<ClientSideTls>>,
    pub required: bool,
    /// Of every client, whatever the secrets ask of its user.
    pub certificate_required: bool,
}
