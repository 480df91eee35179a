//! Making a replica the primary after the primary has died, where the configuration asks for it.
//!
//! Owns the order of the steps, and what each must prove before the next: the primary does not answer
//! and is fenced; every other target answers, is read-only and receives nothing any more; the one that
//! is taken has all that any of them has, and has applied it. What is not proved is said, and nothing
//! is promoted. Who may be taken by what is seen, [`super::heirs`] says.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::elect::{Hold, Topology};
use super::fence::{FenceError, fence};
use super::gtid::Have;
use super::heirs::{Dead, Hindrance, heirs};
use super::member::Member;
use super::probe::look;
use super::side::{MARGIN, STEP, Side};
use super::{Cluster, SwitchoverError};
use crate::backend::BackendError;
use crate::config::Promote;
use crate::net;

/// Why nobody is promoted, for operators.
#[derive(Clone, Debug)]
pub(super) struct Unpromoted {
    /// The place of the primary that was.
    pub dead: usize,
    pub why: String,
}

#[derive(Debug, thiserror::Error)]
enum WhyNot {
    #[error("the configuration says who is the primary (role = \"primary\")")]
    Named,
    #[error("{0:?} does not answer, and may have what no other has")]
    Silent(String),
    #[error("{0:?} takes writes")]
    Writable(String),
    #[error(
        "none of the others replicates from it and may take its place (the account that looks needs \
         REPLICATION CLIENT, on MariaDB REPLICA MONITOR, to see it)"
    )]
    NoReplica,
    #[error("{0:?} answers after all")]
    Answers(String),
    #[error("whether {0:?} is alive cannot be told: {1}")]
    Unknown(String, String),
    #[error("it is drained by an operator")]
    Drained,
    #[error("there is no failover.fence_command")]
    NoFence,
    #[error("the targets have just become others")]
    Regrouped,
    #[error(transparent)]
    Fence(#[from] FenceError),
    #[error("{0:?} does not replicate by GTID from one source")]
    NoGtid(String),
    #[error("none of the replicas has all that the others have")]
    Split,
    #[error(transparent)]
    Step(#[from] SwitchoverError),
}

/// Between two tries that came to nothing.
const PAUSE: Duration = Duration::from_secs(5);

/// For what was received and not applied yet. What takes longer is waited for again.
const APPLYING: Duration = Duration::from_secs(30);

impl Cluster {
    /// For as long as the process serves. What has begun is brought to its end.
    pub(super) async fn promote_when_safe(self: Arc<Self>) {
        let draining = self.lifecycle.draining();
        let mut topology = self.topology.subscribe();
        let mut last: Option<Dead> = None;
        while !draining.is_cancelled() {
            let now = topology.borrow_and_update().clone();
            last = last.filter(|dead| !self.is_gone(dead.at));
            if let Some(at) = now.primary {
                last = self.place_and_identity(at);
                self.note_unpromoted(None);
            } else if let Some(dead) = last.as_mut().filter(|_| self.promotes()) {
                self.try_to_promote(dead, &now).await;
            } else {
                self.note_unpromoted(None);
            }
            tokio::select! {
                _ = topology.changed() => {}
                () = tokio::time::sleep(PAUSE) => {}
                () = draining.cancelled() => {}
            }
        }
    }

    fn place_and_identity(&self, at: usize) -> Option<Dead> {
        let identity = self.identity_of(self.members.get(at)?)?;
        Some(Dead::new(at, identity))
    }

    async fn try_to_promote(self: &Arc<Self>, dead: &mut Dead, now: &Topology) {
        let is_down = self.seen().get(dead.at).is_some_and(|it| it.is_down);
        if !is_down || now.hold != Hold::Nothing {
            return;
        }
        // It may be down because somebody meant it to be.
        if now.drained.contains(&dead.at) {
            // By the time it is back in use they may have given up.
            dead.note(&self.seen());
            let why = WhyNot::Drained.to_string();
            return self.note_unpromoted(Some(Unpromoted { dead: dead.at, why }));
        }
        let began = Instant::now();
        match self.promote(dead).await {
            Ok(to) => {
                let (from, took) = (self.name_of(dead.at), began.elapsed());
                tracing::warn!(from, to, ?took, "the primary is dead: a replica is promoted");
                self.note_unpromoted(None);
            }
            Err(why) => {
                self.note_unpromoted(Some(Unpromoted { dead: dead.at, why: why.to_string() }));
            }
        }
    }

    /// Said once, not at every try.
    fn note_unpromoted(&self, now: Option<Unpromoted>) {
        let mut known = self.unpromoted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_news = |now: &Unpromoted| known.as_ref().is_none_or(|known| known.why != now.why);
        if let Some(now) = now.as_ref().filter(|now| is_news(now)) {
            let (primary, why) = (self.name_of(now.dead), &now.why);
            tracing::error!(primary, %why, "the primary is dead, and no replica is promoted");
        }
        *known = now;
    }

    pub(super) fn unpromoted(&self) -> Option<Unpromoted> {
        self.unpromoted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Whom.
    async fn promote(self: &Arc<Self>, dead: &mut Dead) -> Result<String, WhyNot> {
        let _alone = self.switching.try_lock().map_err(|_| SwitchoverError::UnderWay)?;
        let gone = self.members.get(dead.at).ok_or(WhyNot::NoReplica)?;
        let failover = self.rules.load().failover.clone();
        let others: Vec<&Member> = self.members.iter().filter(|it| it.at != gone.at).collect();
        for member in others.iter().copied() {
            let seen = look(member, &self.credentials, failover.probe_timeout).await;
            self.note(member, seen.ok());
        }
        dead.note(&self.seen());
        let order = self.heirs(dead)?;
        // With more patience than a probe has.
        self.does_not_answer(gone, STEP).await?;
        let command = failover.fence_command.as_ref().ok_or(WhyNot::NoFence)?;
        // A reload may have taken it out, or a target in.
        let known = |member: &Member| others.iter().any(|it| it.at == member.at);
        if gone.is_gone() || !self.members.iter().all(|it| it.at == gone.at || known(it)) {
            return Err(WhyNot::Regrouped);
        }
        self.is_still_wanted(gone)?;
        fence(command, &gone.name, gone.address()).await?;
        self.does_not_answer(gone, failover.probe_timeout).await?;

        let mut sides = Vec::new();
        for member in others {
            sides.push(Side::of(member, &self.credentials).await?);
        }
        let taken = self.succeed(&mut sides, &order, (dead, gone)).await;
        if let Err(error) = &taken
            && !matches!(error, WhyNot::Step(SwitchoverError::Doubtful { .. }))
        {
            for side in sides.iter_mut().filter(|side| self.follows(side.member, dead)) {
                side.replicate_again(&self.credentials).await;
            }
        }
        let new = taken?;
        drop(sides);
        if !self.until_seen(new, |primary| primary == Some(new.at)).await {
            let (name, why) = (new.name.clone(), self.why_nobody());
            return Err(SwitchoverError::Unseen { name, why }.into());
        }
        Ok(new.name.clone())
    }

    fn heirs(&self, dead: &Dead) -> Result<Vec<usize>, WhyNot> {
        let drained = self.topology.borrow().drained.clone();
        let name = |at: usize| self.name_of(at).unwrap_or_default().to_owned();
        let here: Vec<usize> = self.members.iter().map(|member| member.at).collect();
        heirs(dead, &self.seen(), (&here, &drained)).map_err(|hindrance| match hindrance {
            Hindrance::Alive => WhyNot::Answers(name(dead.at)),
            Hindrance::Named => WhyNot::Named,
            Hindrance::Silent(at) => WhyNot::Silent(name(at)),
            Hindrance::Writable(at) => WhyNot::Writable(name(at)),
            Hindrance::NoReplica => WhyNot::NoReplica,
        })
    }

    /// By what was seen of it.
    fn follows(&self, member: &Member, dead: &Dead) -> bool {
        let seen = self.seen();
        let seen = seen.get(member.at).and_then(|it| it.seen.as_ref());
        seen.is_some_and(|seen| dead.is_followed_by(seen))
    }

    /// A server that says anything at all is alive; and where nobody could have reached it, nothing
    /// can be told of it.
    async fn does_not_answer(&self, gone: &Member, patience: Duration) -> Result<(), WhyNot> {
        let unknown = |why: String| WhyNot::Unknown(gone.name.clone(), why);
        match tokio::time::timeout(patience, net::resolve(gone.address())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(unknown(error.to_string())),
            Err(_) => return Err(unknown("its name was not resolved in time".to_owned())),
        }
        let answer = tokio::time::timeout(patience, gone.log_in(&self.credentials)).await;
        let error = match answer.unwrap_or(Err(BackendError::Timeout(patience))) {
            Err(error) if is_silence(&error) => return Ok(()),
            Err(error @ (BackendError::Io(_) | BackendError::NoAccount)) => Some(error),
            _ => None,
        };
        gone.suspected.notify_one();
        Err(match error {
            Some(error) => unknown(error.to_string()),
            None => WhyNot::Answers(gone.name.clone()),
        })
    }

    /// By what is known at this moment: nobody has come back or was promoted, and no operator has
    /// intervened.
    fn is_still_wanted(&self, gone: &Member) -> Result<(), SwitchoverError> {
        let now = self.topology.borrow();
        let nobody = now.primary.is_none() && now.rivals.is_empty();
        let hands_off = now.hold == Hold::Nothing && !now.drained.contains(&gone.at);
        if nobody && hands_off && !gone.is_gone() {
            Ok(())
        } else {
            Err(SwitchoverError::Moved(gone.name.clone()))
        }
    }

    /// All others at once in hand, so that what they have stays what it is.
    async fn succeed(
        &self,
        sides: &mut [Side<'_>],
        order: &[usize],
        (dead, gone): (&Dead, &Member),
    ) -> Result<&Member, WhyNot> {
        for side in sides.iter_mut().filter(|side| self.follows(side.member, dead)) {
            side.ask("ending what it receives", "STOP REPLICA IO_THREAD", STEP).await?;
        }
        let mut had = Vec::new();
        for side in sides.iter_mut() {
            had.push(side.have().await?);
        }
        let mut taken = None;
        for at in order {
            let Some(place) = sides.iter().position(|side| side.member.at == *at) else { continue };
            if let (Some(side), Some(have)) = (sides.get_mut(place), had.get(place))
                && has_all(side, have, &had).await?
            {
                taken = Some(place);
                break;
            }
        }
        let heir = taken.ok_or(WhyNot::Split)?;
        let taken = sides.get_mut(heir).zip(had.get(heir));
        let (side, have) = taken.ok_or(WhyNot::Split)?;
        let Some(received) = have.received() else {
            return Err(WhyNot::NoGtid(side.member.name.clone()));
        };
        let question = side.applied(received, APPLYING);
        let applied = side.ask("applying what it has", &question, APPLYING + MARGIN).await?;
        if applied.as_deref() != Some("0") {
            let (name, waited) = (side.member.name.clone(), APPLYING);
            return Err(SwitchoverError::Behind { name, waited }.into());
        }
        // Somebody may have come back, or was promoted, while it applied what it had.
        self.does_not_answer(gone, self.rules.load().failover.probe_timeout).await?;
        for (place, side) in sides.iter_mut().enumerate() {
            let source = (place == heir).then_some(dead.identity.as_str());
            side.is_still(true, source).await?;
        }
        self.is_still_wanted(gone)?;
        let side = sides.get_mut(heir).ok_or(WhyNot::Split)?;
        let new = side.member.at;
        side.take_over(&gone.name, &self.credentials).await?;
        self.members.get(new).ok_or(WhyNot::NoReplica)
    }

    /// Does the configuration ask for it, and can it ever be?
    fn promotes(&self) -> bool {
        self.may_move() && self.rules.load().failover.promote == Promote::WhenSafe
    }
}

/// What a dead server, or the way to it, ends a login in. Everything else may be our own trouble: a
/// certificate, a name, a lack of descriptors or ports.
fn is_silence(error: &BackendError) -> bool {
    match error {
        BackendError::Timeout(_) => true,
        BackendError::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::UnexpectedEof
                | ErrorKind::BrokenPipe
        ),
        _ => false,
    }
}

/// Is there nothing that any of them has and this one has not?
async fn has_all(side: &mut Side<'_>, have: &Have, others: &[Have]) -> Result<bool, WhyNot> {
    for other in others {
        let covers = if side.mariadb() {
            have.covers_position(other)
        } else {
            let question = format!("SELECT GTID_SUBSET('{}', '{}')", other.all(), have.all());
            side.ask("comparing transactions", &question, STEP).await?.as_deref() == Some("1")
        };
        if !covers {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn only_what_a_dead_server_ends_in_is_silence() {
        let of = |error: io::Error| is_silence(&BackendError::Io(error));
        for kind in [
            ErrorKind::ConnectionRefused,
            ErrorKind::ConnectionReset,
            ErrorKind::TimedOut,
            ErrorKind::HostUnreachable,
            ErrorKind::NetworkUnreachable,
            ErrorKind::UnexpectedEof,
        ] {
            assert!(of(kind.into()), "{kind:?}");
        }
        assert!(is_silence(&BackendError::Timeout(STEP)));
        // A handshake of TLS that fails, no such name, no right, no port of our own.
        for kind in [
            ErrorKind::InvalidData,
            ErrorKind::NotFound,
            ErrorKind::PermissionDenied,
            ErrorKind::AddrNotAvailable,
            ErrorKind::Other,
        ] {
            assert!(!of(kind.into()), "{kind:?}");
        }
        let too_many_files = rustix::io::Errno::MFILE.raw_os_error();
        assert!(!of(io::Error::from_raw_os_error(too_many_files)));
        assert!(!is_silence(&BackendError::NoTls));
        assert!(!is_silence(&BackendError::NoAccount));
    }
}
