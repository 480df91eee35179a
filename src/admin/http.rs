//! The operators' HTTP door: is it alive, is it ready, what did it count.
//!
//! It never changes anything and asks nobody who they are; it listens where the configuration
//! says, by default on loopback.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::lifecycle::{Lifecycle, Phase};
use crate::metrics::{self, Metrics};

/// Whether clients can be served, or why not. Asked while the process runs; starting and draining
/// are known without it.
pub type Ready = dyn Fn() -> Result<(), Cow<'static, str>> + Send + Sync;

#[derive(Clone)]
pub struct HttpState {
    pub metrics: Arc<Metrics>,
    pub ready: Arc<Ready>,
}

/// Serves until the process stops; while it drains, operators still see it drain.
pub async fn serve(listener: TcpListener, state: HttpState, lifecycle: Lifecycle) {
    let stopping = lifecycle.stopping();
    let late = stopping.clone();
    let serving = axum::serve(listener, router(state, lifecycle))
        .with_graceful_shutdown(stopping.cancelled_owned());
    let cut = async {
        late.cancelled().await;
        tokio::time::sleep(LAST_ANSWER).await;
    };
    tokio::select! {
        ended = serving => if let Err(error) = ended {
            tracing::error!(%error, "the admin HTTP listener ended");
        },
        () = cut => {}
    }
}

/// How long an answer under way may take once the process stops.
const LAST_ANSWER: Duration = Duration::from_secs(1);

fn router(state: HttpState, lifecycle: Lifecycle) -> Router {
    Router::new()
        .route("/", get(INDEX))
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .fallback((StatusCode::NOT_FOUND, "not found; see /\n"))
        .with_state(Arc::new(Door { state, lifecycle }))
}

const INDEX: &str = "\
Tidegate

/healthz  200 while the process lives
/readyz   200 when clients can be served, else 503 and why
/metrics  for Prometheus
";

struct Door {
    state: HttpState,
    lifecycle: Lifecycle,
}

async fn readyz(State(door): State<Arc<Door>>) -> Response {
    let ready = match door.lifecycle.phase() {
        Phase::Running => (door.state.ready)(),
        phase => Err(phase.to_string().into()),
    };
    match ready {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn render(State(door): State<Arc<Door>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], door.state.metrics.render())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::metrics::Labels;

    struct Opened {
        at: SocketAddr,
        life: Lifecycle,
        up: Arc<AtomicBool>,
        metrics: Arc<Metrics>,
    }

    async fn open() -> Opened {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (life, up) = (Lifecycle::new(), Arc::new(AtomicBool::new(true)));
        let metrics = Metrics::new(&Labels::default()).unwrap();
        let asked = up.clone();
        let ready = move || {
            if asked.load(Ordering::Relaxed) { Ok(()) } else { Err("no target".into()) }
        };
        let state = HttpState { metrics: metrics.clone(), ready: Arc::new(ready) };
        life.spawn("http", serve(listener, state, life.clone()));
        Opened { at, life, up, metrics }
    }

    async fn ask(at: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn alive_in_every_phase_and_ready_only_when_running() {
        let Opened { at, life, up, .. } = open().await;
        let ready = async |status: &str, why: &str| {
            let answer = ask(at, "GET /readyz").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{why}\n")), "{answer}");
            let alive = ask(at, "GET /healthz").await;
            assert!(alive.starts_with("HTTP/1.1 200 "), "{alive}");
        };
        ready("503", "starting").await;
        life.set(Phase::Running);
        ready("200", "ready").await;
        up.store(false, Ordering::Relaxed);
        ready("503", "no target").await;
        up.store(true, Ordering::Relaxed);
        life.set(Phase::Draining);
        ready("503", "draining").await;
    }

    #[tokio::test]
    async fn metrics_are_text_for_prometheus() {
        let Opened { at, metrics, .. } = open().await;
        metrics.client.connections.set(5);
        let answer = ask(at, "GET /metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("\ntidegate_client_connections 5\n"), "{answer}");
    }

    #[tokio::test]
    async fn nothing_else_is_there_and_nothing_can_be_written() {
        let Opened { at, .. } = open().await;
        assert!(ask(at, "GET /").await.contains("/metrics"));
        assert!(ask(at, "GET /secrets").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(at, "POST /metrics").await.starts_with("HTTP/1.1 405 "));
    }

    /// A client that asks for nothing must not keep the process from stopping.
    #[tokio::test]
    async fn ends_when_the_process_stops() {
        let Opened { at, life, .. } = open().await;
        let mut idle = TcpStream::connect(at).await.unwrap();
        idle.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
        ask(at, "GET /healthz").await;
        life.set(Phase::Stopped);
        tokio::time::timeout(Duration::from_secs(5), life.wait_all()).await.unwrap();
    }
}
