//! GET `/console/events`: says what changes, so that open pages can fetch anew what shows it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use countersign_authority::View;
use countersign_authority::notices::{Notices, Topic};
use futures_util::stream::{self, Stream};
use tokio::time::{Instant, timeout_at};

use super::visit::Visit;
use crate::failure::Outcome;
use crate::state::ControlPlane;

/// Changes that follow one another this closely are told together.
const TOGETHER: Duration = Duration::from_millis(200);

/// The longest that a page waits for a change to be told.
const STILL: Duration = Duration::from_secs(15);

/// What an open page is told with.
struct Telling {
    notices: Notices,
    state: ControlPlane,
    token: String,
}

/// Says what changes, for as long as the session lasts.
pub(super) async fn events(
    State(state): State<ControlPlane>,
    visit: Visit,
) -> Outcome<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let notices = state.authority.notices(&visit.may::<View>()?).await?;
    let telling = Telling { notices, token: visit.token().to_owned(), state };
    // At once, so that whoever listens knows that from now on nothing is missed.
    let first = stream::once(async { Ok(Event::default().event("listening").data("from now on")) });
    let rest = stream::unfold(telling, |mut telling| async move {
        let topics = telling.next().await?;
        let words: Vec<&str> = topics.into_iter().map(Topic::as_str).collect();
        Some((Ok(Event::default().event("changed").data(words.join(" "))), telling))
    });
    let stream = futures_util::StreamExt::chain(first, rest);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(STILL)))
}

impl Telling {
    /// What changed next, with what followed at once; `None`: nothing will be told any more.
    async fn next(&mut self) -> Option<BTreeSet<Topic>> {
        let mut topics = self.notices.next().await?;
        let until = Instant::now() + TOGETHER;
        while let Ok(more) = timeout_at(until, self.notices.next()).await {
            topics.extend(more?);
        }
        // Fails closed: who is signed out meanwhile is told nothing.
        let caller = self.state.authority.caller(&self.token).await.ok()??;
        caller.authorize::<View>().ok().map(|_evidence| topics)
    }
}
