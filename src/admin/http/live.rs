//! A status each second, for as long as somebody listens (server-sent events).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Door;
use crate::admin::lookout::Wish;

/// Each is a connection that stays.
pub(super) const MOST: usize = 32;

pub(super) async fn live(State(door): State<Arc<Door>>) -> Response {
    let lookout = &door.state.lookout;
    if lookout.listeners() >= MOST {
        let why = format!("{MOST} listen already\n");
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    }
    let heard = lookout.listen();
    let first = lookout.json(Wish { history: true, ..Wish::default() });
    let stream = statuses(first, heard, door.lifecycle.stopping());
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Sse::new(stream).keep_alive(alive).into_response()
}

fn statuses(
    first: Arc<str>,
    heard: watch::Receiver<Arc<str>>,
    stopping: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let state = (Some(first), heard, stopping);
    stream::unfold(state, async |(mut first, mut heard, stopping)| {
        let text = if let Some(text) = first.take() {
            text
        } else {
            stopping.run_until_cancelled(heard.changed()).await?.ok()?;
            Arc::clone(&heard.borrow_and_update())
        };
        Some((Ok(Event::default().data(text)), (None, heard, stopping)))
    })
}
