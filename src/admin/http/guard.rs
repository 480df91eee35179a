//! Who may see what is inside: somebody on this machine, who asks for it by an address of it.
//!
//! A page of a stranger's, open in an operator's browser, can ask for `http://its.own.name/status`
//! after it has changed what that name stands for. So the name in the request must be an address or
//! `localhost`, which nobody else can change.

use std::net::IpAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::door::Caller;

/// Nothing but what this program itself serves is loaded, run or asked.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

pub(super) async fn guard(
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(HOST).map(HeaderValue::to_str);
    let host = host.and_then(Result::ok).or_else(|| request.uri().host()).unwrap_or_default();
    if let Err(why) = may_enter(caller, host) {
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn may_enter(caller: Caller, host: &str) -> Result<(), &'static str> {
    if !caller.is_here {
        return Err(ELSEWHERE);
    }
    if is_address(host) { Ok(()) } else { Err(NAMED) }
}

const ELSEWHERE: &str = "\
The page and /status are for this machine only: they tell who is connected, and ask for no password.
Come by 127.0.0.1, or through a tunnel: ssh -L 6034:127.0.0.1:6034, kubectl port-forward.
/healthz, /readyz and /metrics are for everybody.
";

const NAMED: &str = "\
Ask for an IP address or localhost, not for a name: a name may be a stranger's.
";

/// With a port or without.
fn is_address(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, port)) => (name, port),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    let port = port.is_empty() || port.parse::<u16>().is_ok();
    port && (name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_from_here_and_only_by_address() {
        let may = |host: &str| may_enter(Caller { is_here: true }, host).is_ok();
        for host in ["127.0.0.1:6034", "localhost:6034", "LOCALHOST", "[::1]:6034", "10.0.0.5"] {
            assert!(may(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:6034",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1",
            "::1",
            "127.0.0.1:x",
            "localhost:1:2",
        ] {
            assert!(!may(host), "{host}");
        }
        assert_eq!(may_enter(Caller { is_here: false }, "localhost"), Err(ELSEWHERE));
    }
}
