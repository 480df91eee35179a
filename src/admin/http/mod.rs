//! The operators' HTTP door: is it alive, is it ready, what did it count, what is going on.
//!
//! It never changes anything; it listens where the configuration says, by default on loopback. What
//! tells of clients and targets is for this machine, and for operators from elsewhere.

mod door;
mod guard;
mod live;
mod page;
mod visit;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Router, middleware};
use serde::Deserialize;

use super::lookout::{Lookout, Wish};
use crate::lifecycle::{Lifecycle, Phase};
use crate::metrics::{self, Metrics};
use crate::net::Listener;
use crate::secrets::Vault;
use door::{Caller, Doors};

/// Whether clients can be served, or why not. Asked while the process runs; starting and draining
/// are known without it.
pub type Ready = dyn Fn() -> Result<(), Cow<'static, str>> + Send + Sync;

#[derive(Clone)]
pub struct HttpState {
    pub metrics: Arc<Metrics>,
    pub ready: Arc<Ready>,
    pub lookout: Arc<Lookout>,
    /// Who is an operator.
    pub vault: Arc<Vault>,
}

/// Serves until the process stops: while it drains, operators still see it drain, but where another
/// process listens in its place.
pub async fn serve(listener: Listener, state: HttpState, lifecycle: Lifecycle) {
    serve_at(Doors::new(listener), state, lifecycle).await;
}

async fn serve_at<D>(doors: D, state: HttpState, lifecycle: Lifecycle)
where
    D: axum::serve::Listener<Addr = Caller>,
    Caller: for<'s> Connected<IncomingStream<'s, D>>,
{
    let stopping = lifecycle.stopping();
    let (late, relieved) = (stopping.clone(), lifecycle.relieved());
    let service = router(state, lifecycle).into_make_service_with_connect_info::<Caller>();
    let over = async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = relieved.cancelled() => {}
        }
    };
    let serving = axum::serve(doors, service).with_graceful_shutdown(over);
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
    let door = Arc::new(Door { state, lifecycle });
    let inside = Router::new()
        .route("/", get(page::html))
        .route("/page.css", get(page::css))
        .route("/page.js", get(page::js))
        .route("/status", get(status))
        .route("/live", get(live::live))
        .layer(middleware::from_fn_with_state(Arc::clone(&door), guard::guard));
    Router::new()
        .merge(inside)
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .fallback((StatusCode::NOT_FOUND, "not found; see /\n"))
        .with_state(door)
}

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

/// `?clients=50` lists so many of them, `?digests=50` what statements are like, `?history=true` gives
/// the last minutes too.
#[derive(Deserialize)]
struct Asked {
    clients: Option<usize>,
    digests: Option<usize>,
    #[serde(default)]
    history: bool,
}

async fn status(State(door): State<Arc<Door>>, Query(asked): Query<Asked>) -> impl IntoResponse {
    let Asked { clients, digests, history } = asked;
    let wish = Wish { clients, digests, history };
    ([(CONTENT_TYPE, "application/json")], door.state.lookout.json(wish).to_string())
}

async fn render(State(door): State<Arc<Door>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], door.state.metrics.render())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::admin::Sights;
    use crate::admin::status::Status;
    use crate::backend::Credentials;
    use crate::cluster::{Cluster, Rules};
    use crate::config::{self, InForce};
    use crate::metrics::Labels;
    use crate::registry::Registry;
    use crate::secrets::{Admin, Password, Rights, Secrets};

    struct Opened {
        at: SocketAddr,
        life: Lifecycle,
        up: Arc<AtomicBool>,
        metrics: Arc<Metrics>,
    }

    async fn open() -> Opened {
        open_for(Secrets::default(), Doors::new).await
    }

    async fn open_for<D>(secrets: Secrets, doors: impl FnOnce(Listener) -> D) -> Opened
    where
        D: axum::serve::Listener<Addr = Caller>,
        Caller: for<'s> Connected<IncomingStream<'s, D>>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (life, up) = (Lifecycle::new(), Arc::new(AtomicBool::new(true)));
        let metrics = Metrics::new(&Labels::default()).unwrap();
        let asked = up.clone();
        let ready = move || {
            if asked.load(Ordering::Relaxed) { Ok(()) } else { Err("no target".into()) }
        };
        let rules = Rules {
            pool: config::Pool::default(),
            failover: config::Failover::default(),
            reads: false,
        };
        let text = "[[endpoint]]\n[[target]]\n[client]\nmax_connections = 10";
        let settings = config::parse(Path::new("t.toml"), text, std::iter::empty()).unwrap();
        let vault = Arc::new(Vault::new(secrets));
        let credentials = Arc::new(Credentials::new(vault.clone()));
        let cluster = Cluster::new(Vec::new(), rules, credentials, metrics.clone(), life.clone());
        let lookout = Lookout::new(Sights {
            digests: None,
            metrics: metrics.clone(),
            cluster: Arc::new(cluster),
            registry: Arc::new(Registry::new()),
            lifecycle: life.clone(),
            settings: Arc::new(InForce::from_pointee(settings)),
        });
        life.spawn("lookout", lookout.clone().keep());
        let state = HttpState { metrics: metrics.clone(), ready: Arc::new(ready), lookout, vault };
        life.spawn("http", serve_at(doors(Listener::Tcp(listener)), state, life.clone()));
        Opened { at, life, up, metrics }
    }

    async fn ask(at: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
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
        assert!(ask(at, "GET /secrets").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(at, "POST /metrics").await.starts_with("HTTP/1.1 405 "));
    }

    #[tokio::test]
    async fn the_page_is_three_files_of_its_own() {
        let Opened { at, .. } = open().await;
        for (path, kind, holds) in [
            ("/", "text/html", "<script src=\"page.js\""),
            ("/page.css", "text/css", "prefers-color-scheme"),
            ("/page.js", "text/javascript", "EventSource"),
        ] {
            let answer = ask(at, &format!("GET {path}")).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(
                answer.contains(&format!("content-type: {kind}; charset=utf-8\r\n")),
                "{answer}"
            );
            assert!(answer.contains("content-security-policy: default-src 'none'; "), "{answer}");
            assert!(answer.contains(holds), "{path}");
        }
        let script = include_str!("../page/page.js");
        for injects in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(injects), "{injects}: a client's own words are on the page");
        }
    }

    #[tokio::test]
    async fn status_is_a_document() {
        let Opened { at, life, metrics, .. } = open().await;
        life.set(Phase::Running);
        metrics.client.connections.set(5);
        let status = async |path: &str| {
            let answer = ask(at, path).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("content-type: application/json"), "{head}");
            serde_json::from_str::<Status>(body).unwrap()
        };
        let plain = status("GET /status").await;
        assert_eq!((plain.clients.connected, plain.clients.max), (5, 10));
        assert_eq!((&*plain.phase, plain.ready), ("running", false), "there is no target");
        assert_eq!((plain.client_list, plain.history), (None, None));
        let full = status("GET /status?clients=5&history=true").await;
        assert_eq!(full.client_list.unwrap().total, 0);
        assert!(full.history.is_some());
        assert!(ask(at, "GET /status?clients=many").await.starts_with("HTTP/1.1 400 "));
    }

    #[tokio::test]
    async fn a_name_that_may_be_a_strangers_is_refused() {
        let Opened { at, .. } = open().await;
        let asked = async |path: &str| {
            let mut stream = TcpStream::connect(at).await.unwrap();
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        for path in ["/", "/page.js", "/status", "/live"] {
            let answer = asked(path).await;
            assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("a name"), "{answer}");
        }
        assert!(asked("/metrics").await.starts_with("HTTP/1.1 200 "));
    }

    /// Who comes by it seems to be on another machine.
    struct Far(Doors);

    impl axum::serve::Listener for Far {
        type Io = visit::Visit;
        type Addr = Caller;

        async fn accept(&mut self) -> (visit::Visit, Caller) {
            let (visit, caller) = self.0.accept().await;
            (visit, Caller { is_here: false, ..caller })
        }

        fn local_addr(&self) -> std::io::Result<Caller> {
            self.0.local_addr()
        }
    }

    impl Connected<IncomingStream<'_, Far>> for Caller {
        fn connect_info(stream: IncomingStream<'_, Far>) -> Self {
            *stream.remote_addr()
        }
    }

    #[tokio::test]
    async fn from_elsewhere_an_operator_is_asked_who_they_are() {
        let eyes = Admin::new("eyes".to_owned(), Password::new("right"), Rights::Read);
        let secrets = Secrets { admins: vec![eyes], ..Secrets::default() };
        let Opened { at, .. } = open_for(secrets, |listener| Far(Doors::new(listener))).await;
        let asked = async |path: &str, credentials: &str| {
            let mut stream = TcpStream::connect(at).await.unwrap();
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: db.internal\r\nConnection: close\r\n{credentials}\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        // eyes:right and eyes:wrong
        let (right, wrong) = (
            "Authorization: Basic ZXllczpyaWdodA==\r\n",
            "Authorization: Basic ZXllczp3cm9uZw==\r\n",
        );
        for path in ["/", "/page.js", "/page.css", "/status"] {
            let answer = asked(path, "").await;
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
            assert!(answer.contains("www-authenticate: Basic realm=\"Tidegate\""), "{answer}");
            let answer = asked(path, right).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        }
        let began = std::time::Instant::now();
        let answer = asked("/status", wrong).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
        assert!(asked("/live", "").await.starts_with("HTTP/1.1 401 "));
        for path in ["/healthz", "/metrics"] {
            assert!(asked(path, "").await.starts_with("HTTP/1.1 200 "), "{path}");
        }
    }

    #[tokio::test]
    async fn from_elsewhere_nobody_is_let_in_where_there_is_nobody_to_ask_for() {
        let far = |listener| Far(Doors::new(listener));
        let Opened { at, .. } = open_for(Secrets::default(), far).await;
        let answer = ask(at, "GET /status").await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("no [[admin]]"), "{answer}");
        assert!(ask(at, "GET /metrics").await.starts_with("HTTP/1.1 200 "));
    }

    /// Whoever takes every place and asks for nothing keeps nobody out for long.
    #[tokio::test]
    async fn the_silent_make_room() {
        let Opened { at, .. } = open().await;
        let (_, mut listener) = ask_head(at, "/live").await;
        let mut silent = Vec::new();
        for _ in 0..door::MOST {
            silent.push(TcpStream::connect(at).await.unwrap());
        }
        let served = async {
            // Who finds no place is hung up on.
            let health = async || -> std::io::Result<String> {
                let mut stream = TcpStream::connect(at).await?;
                stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.map(|_| answer)
            };
            while !health().await.is_ok_and(|answer| answer.contains(" 200 OK")) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), served).await.expect("a place");
        // Who hears something each second is not among those that go.
        let mut buffer = [0; 8192];
        for _ in 0..3 {
            assert!(ask(at, "GET /healthz").await.starts_with("HTTP/1.1 200 "));
            assert!(listener.read(&mut buffer).await.unwrap() > 0);
        }
        let first = silent[0].read(&mut buffer).await;
        assert!(matches!(first, Ok(0) | Err(_)), "the first has made room: {first:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_nothing_is_closed_after_a_while() {
        let Opened { at, .. } = open().await;
        let mut slow = TcpStream::connect(at).await.unwrap();
        slow.write_all(b"GET /healthz HTTP/1.1\r\nHo").await.unwrap();
        let mut buffer = [0; 64];
        let closed = slow.read(&mut buffer);
        let closed = tokio::time::timeout(2 * visit::IDLE, closed).await.expect("an end");
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    }

    #[tokio::test]
    async fn who_listens_hears_every_second_until_the_end() {
        let Opened { at, life, metrics, .. } = open().await;
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("GET /live HTTP/1.1\r\nHost: {at}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut heard = String::new();
        let mut buffer = [0; 8192];
        let mut until = async |what: &str| {
            let hear = async {
                while !heard.contains(what) {
                    let count = stream.read(&mut buffer).await.unwrap();
                    assert!(count > 0, "{heard}");
                    heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
            };
            tokio::time::timeout(Duration::from_secs(10), hear).await.expect(what);
        };
        until("content-type: text/event-stream").await;
        until("\"history\":[").await;
        metrics.client.connections.set(77);
        until("\"connected\":77,").await;
        life.set(Phase::Stopped);
        tokio::time::timeout(Duration::from_secs(5), life.wait_all()).await.unwrap();
    }

    #[tokio::test]
    async fn not_more_listen_than_may() {
        let Opened { at, .. } = open().await;
        let mut listeners = Vec::new();
        for _ in 0..live::MOST {
            let (head, stream) = ask_head(at, "/live").await;
            assert_eq!(&head, b"HTTP/1.1 200");
            listeners.push(stream);
        }
        let refused = ask(at, "GET /live").await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("32 listen"), "{refused}");
        listeners.clear();
        let heard = async {
            while ask_head(at, "/live").await.0 != *b"HTTP/1.1 200" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), heard).await.expect("room for another");
    }

    /// The first line, as far as it counts, and the stream that goes on.
    async fn ask_head(at: SocketAddr, path: &str) -> ([u8; 12], TcpStream) {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        (head, stream)
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
