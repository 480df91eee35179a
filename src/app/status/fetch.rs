//! One GET of `/status`.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use crate::admin::status::Status;
use crate::app::cli::Failure;
use crate::config::Address;
use crate::lifecycle::Lifecycle;
use crate::net;

const PATIENCE: Duration = Duration::from_secs(5);

/// Many targets and a hundred events stay far below it.
const MOST: usize = 4 << 20;

pub(super) async fn fetch(address: &Address) -> Result<Status, Failure> {
    let asked = tokio::time::timeout(PATIENCE, ask(address)).await;
    let late = || Failure::other(format!("no answer from {} within {PATIENCE:?}", url(address)));
    asked.map_err(|_| late())?
}

async fn ask(address: &Address) -> Result<Status, Failure> {
    let stream = net::connect(address, PATIENCE).await.map_err(|error| {
        Failure::other(format!("no Tidegate answers at {} (admin.http): {error}", url(address)))
    })?;
    let broken = |error: hyper::Error| Failure::other(format!("{}: {error}", url(address)));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    Lifecycle::new().spawn("fetch", connection);
    let request = Request::get("/status").header(HOST, "localhost").body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.map_err(Failure::other)?).await.map_err(broken)?;
    let code = answer.status();
    let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(Failure::Other)?;
    let body = body.to_bytes();
    if code != StatusCode::OK {
        let why = String::from_utf8_lossy(&body);
        return Err(Failure::other(format!("{}: {code}: {}", url(address), why.trim_end())));
    }
    serde_json::from_slice(&body).map_err(|error| {
        Failure::other(format!("{}: what answers there is no Tidegate: {error}", url(address)))
    })
}

fn url(address: &Address) -> String {
    match address {
        Address::Tcp { .. } => format!("http://{address}"),
        Address::Unix(_) => address.to_string(),
    }
}
