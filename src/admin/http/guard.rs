//! Who may see what is inside: somebody on this machine, who asks for it by a loopback address; or an
//! operator, who shows the name and the password of an `[[admin]]` (RFC 7617).
//!
//! A page of a stranger's, open in an operator's browser, can ask for `http://its.own.name/status`
//! after it has changed what that name stands for. So the name in a request without a password must be
//! a loopback address or `localhost`, which nobody else can change. What says that it was forwarded is
//! not from this machine, whoever brings it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, FORWARDED, HOST, REFERRER_POLICY, VIA,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Door;
use super::door::Caller;
use crate::secrets::{ClientSecret, Generation, Password};

/// Nothing but what this program itself serves is loaded, run or asked.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Whoever guesses shall not do so at full speed.
const DENIED: Duration = Duration::from_secs(1);

pub(super) async fn guard(
    State(door): State<Arc<Door>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(refused) = judge(caller, &request, &door.state.vault.current()) {
        if refused == Refused::Unknown {
            let peer = caller.address.map(tracing::field::display);
            tracing::warn!(peer, "refused a login to the page");
            tokio::time::sleep(DENIED).await;
        }
        return refused.into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn judge(caller: Caller, request: &Request, secrets: &Generation) -> Result<(), Refused> {
    let headers = request.headers();
    let host = headers.get(HOST).map(HeaderValue::to_str);
    let host = host.and_then(Result::ok).or_else(|| request.uri().host()).unwrap_or_default();
    let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    may_enter(caller.is_here && !is_forwarded(headers), host, shown, secrets)
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
        || headers.contains_key(VIA)
        || headers.contains_key("x-forwarded-for")
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// By a name that may be a stranger's.
    Named,
    /// There is nobody whose password could be asked for.
    Elsewhere,
    /// Who are they?
    Asked,
    /// They are nobody here.
    Unknown,
}

fn may_enter(
    is_here: bool,
    host: &str,
    shown: Option<&[u8]>,
    secrets: &Generation,
) -> Result<(), Refused> {
    if shown.is_some_and(|shown| is_operator(shown, secrets)) || is_here && is_local(host) {
        return Ok(());
    }
    Err(match shown {
        None if is_here => Refused::Named,
        _ if !secrets.has_admins() => Refused::Elsewhere,
        None => Refused::Asked,
        Some(_) => Refused::Unknown,
    })
}

fn is_operator(shown: &[u8], secrets: &Generation) -> bool {
    let Some((name, password)) = credentials(shown) else { return false };
    let admin = secrets.admin(&name).map(|admin| &admin.account.password);
    matches!(admin, Some(ClientSecret::Clear(is)) if *is == password)
}

fn credentials(shown: &[u8]) -> Option<(String, Password)> {
    let (scheme, encoded) = shown.split_at_checked(BASIC.len())?;
    let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (name, password) = (decoded.get(..colon)?, decoded.get(colon + 1..)?);
    let name = std::str::from_utf8(name).ok()?.to_owned();
    scheme.eq_ignore_ascii_case(BASIC).then(|| (name, Password::new(password)))
}

const BASIC: &[u8] = b"Basic ";

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Named => (StatusCode::FORBIDDEN, NAMED).into_response(),
            Self::Elsewhere => (StatusCode::FORBIDDEN, ELSEWHERE).into_response(),
            Self::Asked | Self::Unknown => {
                let ask = "Basic realm=\"Tidegate\", charset=\"UTF-8\"";
                (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, ask)], ASKED).into_response()
            }
        }
    }
}

const ELSEWHERE: &str = "\
The page and /status are for this machine only, as the secrets name no [[admin]] to ask for.
Come by 127.0.0.1 and not through a proxy, or through a tunnel: ssh -L 6034:127.0.0.1:6034, kubectl port-forward.
/healthz, /readyz and /metrics are for everybody.
";

const ASKED: &str = "\
The page and /status tell who is connected: from elsewhere they take the name and the password of an
[[admin]] in the secrets, which cross the network in clear. Better come by 127.0.0.1 or a tunnel.
/healthz, /readyz and /metrics are for everybody.
";

const NAMED: &str = "\
Ask for a loopback address or localhost, not for a name: a name may be a stranger's.
";

/// With a port or without.
fn is_local(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, port)) => (name, port),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    let port = port.is_empty() || port.parse::<u16>().is_ok();
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    port && (name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{Admin, Rights, Secrets, Vault};

    fn secrets(admins: &[(&str, &str)]) -> Arc<Generation> {
        let admin = |(name, password): &(&str, &str)| {
            Admin::new((*name).to_owned(), Password::new(*password), Rights::Read)
        };
        let admins = admins.iter().map(admin).collect();
        Vault::new(Secrets { admins, ..Secrets::default() }).current()
    }

    #[test]
    fn only_from_here_and_only_by_address() {
        let nobody = secrets(&[]);
        let may = |host: &str| may_enter(true, host, None, &nobody);
        for host in ["127.0.0.1:6034", "localhost:6034", "LOCALHOST", "[::1]:6034", "127.0.0.9"] {
            assert_eq!(may(host), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:6034",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.5",
            "0.0.0.0:6034",
            "[::1",
            "::1",
            "127.0.0.1:x",
            "localhost:1:2",
        ] {
            assert_eq!(may(host), Err(Refused::Named), "{host}");
        }
        assert_eq!(may_enter(false, "localhost", None, &nobody), Err(Refused::Elsewhere));
        let shown = Some(b"Basic OnBhc3N3b3Jk".as_slice());
        assert_eq!(may_enter(false, "localhost", shown, &nobody), Err(Refused::Elsewhere));
    }

    #[test]
    fn what_was_forwarded_is_not_from_here() {
        let nobody = secrets(&[]);
        let here = Caller { is_here: true, address: None };
        let asked = |name: &str| {
            let request = Request::builder().header(HOST, "localhost:6034").header(name, "x");
            judge(here, &request.body(axum::body::Body::empty()).unwrap(), &nobody)
        };
        assert_eq!(asked("accept"), Ok(()));
        for name in ["X-Forwarded-For", "Forwarded", "Via"] {
            assert_eq!(asked(name), Err(Refused::Elsewhere), "{name}");
        }
    }

    #[test]
    fn an_operator_comes_from_everywhere_by_every_name() {
        let secrets = secrets(&[("ops", "a:b"), ("eyes", "c")]);
        let show = |name: &str, password: &str| {
            format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
        };
        for (is_here, host) in [(false, "10.0.0.9"), (false, "db.internal"), (true, "db.internal")]
        {
            let may = |shown: &str| may_enter(is_here, host, Some(shown.as_bytes()), &secrets);
            assert_eq!(may(&show("ops", "a:b")), Ok(()));
            assert_eq!(may(&show("eyes", "c").replace("Basic", "basic")), Ok(()));
            for wrong in [
                show("ops", "a"),
                show("ops", "c"),
                show("ops", ""),
                show("nobody", "c"),
                show("", ""),
                "Basic".to_owned(),
                "Basic !".to_owned(),
                format!("Bearer {}", STANDARD.encode("ops:a:b")),
                String::new(),
            ] {
                assert_eq!(may(&wrong), Err(Refused::Unknown), "{wrong}");
            }
        }
        assert_eq!(may_enter(false, "10.0.0.9", None, &secrets), Err(Refused::Asked));
        assert_eq!(may_enter(true, "db.internal", None, &secrets), Err(Refused::Named));
        assert_eq!(may_enter(true, "127.0.0.1", None, &secrets), Ok(()));
    }
}
