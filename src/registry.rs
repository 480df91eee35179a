//! Who is connected, and who is on the way in.
//!
//! Owns the connection ids clients are given, what each session is doing, and the bell that wakes
//! a sleeping one with bad news. It never touches a socket; what a doomed session is told is the
//! frontend's.

mod bell;
mod doors;
mod lobby;
mod view;

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bell::Bell;
use doors::Doors;
use tokio::sync::Notify;

pub use lobby::{Guest, Lobby};
pub use view::{Census, ClientView, Entrance, Wire};

use crate::secrets::Account;
use crate::session::{Pins, SessionState};

pub struct Registry {
    next_id: AtomicU32,
    sessions: Mutex<HashMap<u32, Arc<Entry>>>,
    doors: Doors,
    /// How many are logged in as each user.
    users: Mutex<HashMap<Arc<str>, u32>>,
    /// The user of whom has not logged in.
    nobody: Arc<str>,
    started: Instant,
    /// When all are looked at again, on the registry's clock.
    due: AtomicU64,
    /// Milliseconds since `started`, moved on by the sweep: sessions read it for nothing.
    now: AtomicU64,
}

/// One session, as others see it.
pub struct Entry {
    pub id: u32,
    pub peer: String,
    entrance: Entrance,
    /// Bits of [`Wire`].
    wire: AtomicU8,
    /// It has asked for a connection and has none yet.
    waiting: AtomicBool,
    about: Mutex<About>,
    pins: AtomicU32,
    /// How many it has prepared.
    statements: AtomicU32,
    activity: AtomicU8,
    /// When the activity began, on the registry's clock.
    since: AtomicU64,
    /// When the transaction began; 0 outside of one.
    transaction_since: AtomicU64,
    doom: AtomicU8,
    bell: Bell,
    over_time: AtomicU8,
    /// KILL QUERY came for the statement under way.
    interrupted: AtomicU8,
    attached: Mutex<Attachment>,
    released: Notify,
}

/// Who a session is and what it wants, as last told.
struct About {
    user: Arc<str>,
    /// `None`: it has not logged in.
    account: Option<Arc<Account>>,
    /// `None`: it said nothing of itself, as most do.
    attributes: Option<Attributes>,
    /// `None`: it has not logged in.
    state: Option<Arc<SessionState>>,
}

/// What a client says of itself at its login: name and value, in its order.
pub type Attributes = Arc<[(String, String)]>;

/// Bytes of them that are kept of each client, as MySQL keeps by default. What does not fit is
/// dropped, the last first.
const MOST_ATTRIBUTES: usize = 512;

/// A connection to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The place of the server among the targets.
    pub target: usize,
    /// Its own id for the connection.
    pub id: u32,
}

#[derive(Default)]
struct Attachment {
    /// The connection the session has in hand.
    connection: Option<Attached>,
    /// KILLs under way against it. It may not change hands before they are done.
    kills: u32,
    /// One of them ends the connection, not only its statement.
    fatal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Activity {
    LoggingIn,
    /// Between statements, outside a transaction.
    Idle,
    /// Between statements of a transaction.
    InTransaction,
    /// A statement is under way.
    Active,
}

/// Why a session must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Doom {
    Killed = 1,
    Idle,
    IdleInTransaction,
    TransactionTooLong,
    Draining,
    /// The drain is over.
    Stopping,
    /// Its user is in the secrets no longer.
    Revoked,
}

impl Doom {
    /// Lets a transaction finish first.
    pub fn is_patient(self) -> bool {
        matches!(self, Self::Draining | Self::Revoked)
    }
}

/// What ends a statement that waits for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Doomed(Doom),
    /// KILL QUERY, or its time is over.
    Interrupted,
}

/// What the sweep found.
#[derive(Default)]
pub struct Overdue {
    /// Statements that run longer than they may.
    pub queries: Vec<Arc<Entry>>,
}

/// How long each activity may last; `None` = as long as it likes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub idle: Option<Duration>,
    pub idle_in_transaction: Option<Duration>,
    pub transaction: Option<Duration>,
    pub query: Option<Duration>,
}

impl Limits {
    /// Milliseconds between two looks at all sessions: among thousands of sleepers they are what
    /// costs most. `None`: nothing is limited.
    fn pause(&self) -> Option<u64> {
        const LATE: u32 = 32;
        const LONGEST: Duration = Duration::from_secs(10);
        let limits = [self.idle, self.idle_in_transaction, self.transaction, self.query];
        let shortest = limits.into_iter().flatten().min()?;
        u64::try_from((shortest / LATE).min(LONGEST).as_millis()).ok()
    }
}

/// How often [`Registry::sweep`] is called, and so how coarse its clock is.
pub const SWEEP: Duration = Duration::from_millis(250);

/// Ids start high, at a place of chance: one that a client took from the server's own process
/// list, or from another proxy's greeting, names nobody here.
const FIRST_ID: u32 = 0x4000_0000;

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    pub fn new() -> Self {
        Self {
            next_id: AtomicU32::new(FIRST_ID + fastrand::u32(..FIRST_ID / 2)),
            sessions: Mutex::default(),
            doors: Doors::default(),
            users: Mutex::default(),
            nobody: "".into(),
            started: Instant::now(),
            due: AtomicU64::new(0),
            now: AtomicU64::new(1),
        }
    }

    /// Would this id be one of ours?
    pub fn is_own(id: u64) -> bool {
        (u64::from(FIRST_ID)..=u64::from(u32::MAX)).contains(&id)
    }

    pub fn enter(self: &Arc<Self>, peer: String, entrance: Entrance) -> Presence {
        self.enter_as(None, peer, entrance)
    }

    /// With the id that another process gave, where it did and nobody has it here.
    pub fn enter_as(
        self: &Arc<Self>,
        known: Option<u32>,
        peer: String,
        entrance: Entrance,
    ) -> Presence {
        let mut sessions = self.lock();
        let known = known.filter(|id| !sessions.contains_key(id));
        let id = known.unwrap_or_else(|| {
            loop {
                let id = self.next_id.fetch_add(1, Ordering::Relaxed) | FIRST_ID;
                // One that came over may have it.
                if !sessions.contains_key(&id) {
                    break id;
                }
            }
        });
        let entry = Arc::new(Entry {
            id,
            peer,
            entrance,
            wire: AtomicU8::new(0),
            waiting: AtomicBool::new(false),
            about: Mutex::new(About {
                user: Arc::clone(&self.nobody),
                account: None,
                attributes: None,
                state: None,
            }),
            pins: AtomicU32::new(0),
            statements: AtomicU32::new(0),
            activity: AtomicU8::new(Activity::LoggingIn as u8),
            since: AtomicU64::new(self.now()),
            transaction_since: AtomicU64::new(0),
            doom: AtomicU8::new(0),
            bell: Bell::default(),
            over_time: AtomicU8::new(0),
            interrupted: AtomicU8::new(0),
            attached: Mutex::default(),
            released: Notify::new(),
        });
        sessions.insert(id, Arc::clone(&entry));
        drop(sessions);
        Presence { registry: Arc::clone(self), entry }
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub fn get(&self, id: u32) -> Option<Arc<Entry>> {
        self.lock().get(&id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.lock().values().cloned().collect()
    }

    /// All of them at one moment, in the order of their ids, each copied under no lock but its own.
    pub fn clients(&self) -> Vec<ClientView> {
        let now = self.now();
        let mut clients: Vec<ClientView> = self.all().iter().map(|entry| entry.view(now)).collect();
        clients.sort_unstable_by_key(|client| client.id);
        clients
    }

    /// One of them.
    pub fn client(&self, id: u32) -> Option<ClientView> {
        self.get(id).map(|entry| entry.view(self.now()))
    }

    /// All of them counted, without a copy of any.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        self.lock().values().for_each(|entry| census.count(entry));
        census
    }

    /// Wakes every session, for it to look whether it can change the process.
    pub fn ring_all(&self) {
        for entry in self.all() {
            entry.bell.ring();
        }
    }

    /// Wakes every session; those that can end, end.
    pub fn doom_all(&self, doom: Doom) {
        for entry in self.all() {
            entry.doom(doom);
        }
    }

    /// Those whose user is among `those` no longer end when their transaction does. Who has not logged
    /// in yet has no user.
    pub fn revoke(&self, those: impl Fn(&str) -> bool) {
        for entry in self.all() {
            let user = entry.user();
            if !user.is_empty() && !those(&user) {
                entry.doom(Doom::Revoked);
            }
        }
    }

    /// The number of an endpoint of this name, see [`Entrance::endpoint`].
    pub fn number_of(&self, endpoint: &str) -> u16 {
        self.doors.number_of(endpoint)
    }

    pub fn endpoint(&self, number: u16) -> Option<String> {
        self.doors.name_of(number)
    }

    /// The names of all endpoints there ever were, by their numbers.
    pub fn endpoints(&self) -> Vec<String> {
        self.doors.names()
    }

    /// Wakes those that came in by one of these; returns how many there are.
    pub fn doom_from(&self, entrances: &[Entrance], doom: Doom) -> usize {
        let mut all = self.all();
        all.retain(|entry| entrances.contains(&entry.entrance));
        for entry in &all {
            entry.doom(doom);
        }
        all.len()
    }

    /// All are looked at by the next sweep, as its limits may be others.
    pub fn look_soon(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    /// Moves the clock on and dooms what has lasted too long. To be called every [`SWEEP`].
    pub fn sweep(&self, limits: &Limits) -> Overdue {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        self.now.store(now, Ordering::Relaxed);
        let mut overdue = Overdue::default();
        let Some(pause) = limits.pause().filter(|_| now >= self.due.load(Ordering::Relaxed)) else {
            return overdue;
        };
        self.due.store(now + pause, Ordering::Relaxed);
        for entry in self.lock().values() {
            if entry.sweep(now, limits) {
                overdue.queries.push(Arc::clone(entry));
            }
        }
        overdue
    }

    /// Since it was made.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    fn users(&self) -> MutexGuard<'_, HashMap<Arc<str>, u32>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Entry>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's own hold on its entry: dropped, it is gone from the registry.
pub struct Presence {
    registry: Arc<Registry>,
    entry: Arc<Entry>,
}

impl Presence {
    /// It is this user's from here on. `false`: there are `most` of them already, and it is what it
    /// was.
    pub fn log_in(&self, account: &Arc<Account>, most: Option<u32>) -> bool {
        let before = self.entry.user();
        if before != account.username {
            let mut users = self.registry.users();
            let there = users.get(&account.username).copied().unwrap_or_default();
            if most.is_some_and(|most| there >= most) {
                return false;
            }
            users.insert(Arc::clone(&account.username), there + 1);
            leave(&mut users, &before);
        }
        self.entry.set_account(account);
        true
    }

    /// A request is here: what was said of the one before, or of the pause, is over.
    pub fn begin_statement(&self) {
        self.entry.pardon_idle();
        self.entry.over_time.store(0, Ordering::Relaxed);
        self.entry.interrupted.store(0, Ordering::Relaxed);
        self.set_activity(Activity::Active);
    }

    pub fn set_activity(&self, activity: Activity) {
        let before = self.entry.activity.swap(activity as u8, Ordering::Relaxed);
        if before == activity as u8 {
            return;
        }
        let now = self.registry.now();
        self.entry.since.store(now, Ordering::Relaxed);
        match activity {
            Activity::Idle => self.entry.transaction_since.store(0, Ordering::Relaxed),
            Activity::InTransaction => {
                let since = &self.entry.transaction_since;
                let _ = since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
            }
            Activity::LoggingIn | Activity::Active => {}
        }
    }
}

impl std::ops::Deref for Presence {
    type Target = Arc<Entry>;

    fn deref(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.entry.id);
        leave(&mut self.registry.users(), &self.entry.user());
    }
}

fn leave(users: &mut HashMap<Arc<str>, u32>, user: &Arc<str>) {
    if let Some(there) = users.get_mut(user) {
        *there -= 1;
        if *there == 0 {
            users.remove(user);
        }
    }
}

impl Entry {
    pub fn user(&self) -> Arc<str> {
        Arc::clone(&self.about().user)
    }

    /// What it logged in with; what has become of that since, the secrets say.
    pub fn account(&self) -> Option<Arc<Account>> {
        self.about().account.clone()
    }

    fn set_account(&self, account: &Arc<Account>) {
        let mut about = self.about();
        about.user = Arc::clone(&account.username);
        about.account = Some(Arc::clone(account));
    }

    pub fn attributes(&self) -> Attributes {
        self.about().attributes.clone().unwrap_or_default()
    }

    pub fn entrance(&self) -> Entrance {
        self.entrance
    }

    pub fn set_wire(&self, wire: Wire) {
        self.wire.store(wire.bits(), Ordering::Relaxed);
    }

    /// To be called when it is another one, see [`Entry::set_pins`].
    pub fn set_state(&self, state: &Arc<SessionState>) {
        let before = self.about().state.replace(Arc::clone(state));
        // Its end, should this have been the last hold on it, is not waited for under the lock.
        drop(before);
    }

    /// Told between two statements, and only what has changed.
    pub fn set_pins(&self, pins: Pins) {
        self.pins.store(pins.bits(), Ordering::Relaxed);
    }

    pub fn set_statements(&self, statements: usize) {
        let statements = u32::try_from(statements).unwrap_or(u32::MAX);
        self.statements.store(statements, Ordering::Relaxed);
    }

    pub fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    pub fn set_attributes(&self, attributes: &[(String, String)]) {
        let mut room = MOST_ATTRIBUTES;
        let fits = |(name, value): &&(String, String)| {
            let left = room.checked_sub(name.len() + value.len());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let kept: Attributes = attributes.iter().take_while(fits).cloned().collect();
        let kept = (!kept.is_empty()).then_some(kept);
        self.about().attributes = kept;
    }

    pub fn doom(&self, doom: Doom) {
        let patient = self.doomed().is_some_and(Doom::is_patient) && !doom.is_patient();
        if doom == Doom::Killed || patient {
            self.doom.store(doom as u8, Ordering::Relaxed);
        } else {
            // The first reason is the one that is told.
            let _ = self.doom.compare_exchange(0, doom as u8, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.bell.ring();
    }

    pub fn doomed(&self) -> Option<Doom> {
        match self.doom.load(Ordering::Relaxed) {
            1 => Some(Doom::Killed),
            2 => Some(Doom::Idle),
            3 => Some(Doom::IdleInTransaction),
            4 => Some(Doom::TransactionTooLong),
            5 => Some(Doom::Draining),
            6 => Some(Doom::Stopping),
            7 => Some(Doom::Revoked),
            _ => None,
        }
    }

    /// A timeout that a new statement has overtaken.
    fn pardon_idle(&self) {
        if self.doom.load(Ordering::Relaxed) == 0 {
            return;
        }
        for idle in [Doom::Idle, Doom::IdleInTransaction] {
            let _ = self.doom.compare_exchange(idle as u8, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Only the session's own task listens.
    pub fn poll_bell(&self, cx: &Context<'_>) -> Poll<()> {
        self.bell.poll(cx)
    }

    async fn bell(&self) {
        poll_fn(|cx| self.poll_bell(cx)).await;
    }

    /// The bell for a reason that nothing under way delays. Cancel-safe.
    pub async fn last_bell(&self) -> Doom {
        loop {
            if let Some(doom) = self.doomed().filter(|doom| !doom.is_patient()) {
                return doom;
            }
            self.bell().await;
        }
    }

    /// Was the statement killed for its time?
    pub fn is_over_time(&self) -> bool {
        self.over_time.load(Ordering::Relaxed) != 0
    }

    /// `false`: it was marked before.
    pub fn mark_over_time(&self) -> bool {
        self.over_time.swap(1, Ordering::Relaxed) == 0
    }

    /// For a statement that waits for a connection: there is nothing on a server to kill yet.
    pub fn interrupt(&self) {
        self.interrupted.store(1, Ordering::Relaxed);
        self.bell.ring();
    }

    /// Why a wait must end. One waits for both: the bell wakes only one. Cancel-safe.
    pub async fn stop(&self) -> Stop {
        loop {
            if let Some(doom) = self.doomed().filter(|doom| !doom.is_patient()) {
                return Stop::Doomed(doom);
            }
            if self.interrupted.load(Ordering::Relaxed) != 0 {
                return Stop::Interrupted;
            }
            self.bell().await;
        }
    }

    pub fn attach(&self, connection: Attached) {
        self.attachment().connection = Some(connection);
    }

    /// Waits for KILLs against the connection to be done; nobody can begin one afterwards.
    /// `true`: one of them was the end of the connection. Cancel-safe, but the connection must
    /// then be closed.
    pub async fn detach(&self) -> bool {
        if let Some(fatal) = self.try_detach() {
            return fatal;
        }
        loop {
            // Hears of it from here on.
            let released = self.released.notified();
            if let Some(fatal) = self.try_detach() {
                return fatal;
            }
            released.await;
        }
    }

    /// The same where nothing needs to be waited for; `None` where a KILL is under way.
    pub fn try_detach(&self) -> Option<bool> {
        let mut attached = self.attachment();
        if attached.kills > 0 {
            return None;
        }
        attached.connection = None;
        Some(std::mem::take(&mut attached.fatal))
    }

    /// The connection to kill, if there is one; it stays this session's until the guard drops.
    pub fn aim(self: &Arc<Self>, fatal: bool) -> Option<Aim> {
        let mut attached = self.attachment();
        let connection = attached.connection?;
        attached.kills += 1;
        attached.fatal |= fatal;
        Some(Aim { entry: Arc::clone(self), connection })
    }

    fn about(&self) -> MutexGuard<'_, About> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attachment(&self) -> MutexGuard<'_, Attachment> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `true`: its statement runs too long.
    fn sweep(&self, now: u64, limits: &Limits) -> bool {
        // A beginning may be stamped with the sweep before it: nobody is cut early.
        let over = |since: u64, limit: Option<Duration>| {
            let lasted = Duration::from_millis(now.saturating_sub(since));
            since != 0 && limit.is_some_and(|limit| lasted > limit + SWEEP)
        };
        let since = self.since.load(Ordering::Relaxed);
        let activity = self.activity.load(Ordering::Relaxed);
        if activity == Activity::Idle as u8 && over(since, limits.idle) {
            self.doom(Doom::Idle);
        }
        if activity == Activity::InTransaction as u8 && over(since, limits.idle_in_transaction) {
            self.doom(Doom::IdleInTransaction);
        }
        // A statement that began meanwhile may have looked for a pardon too early.
        if self.activity.load(Ordering::Relaxed) != activity {
            self.pardon_idle();
        }
        if over(self.transaction_since.load(Ordering::Relaxed), limits.transaction) {
            self.doom(Doom::TransactionTooLong);
        }
        activity == Activity::Active as u8 && over(since, limits.query)
    }
}

/// A KILL under way.
pub struct Aim {
    entry: Arc<Entry>,
    pub connection: Attached,
}

impl Drop for Aim {
    fn drop(&mut self) {
        self.entry.attachment().kills -= 1;
        self.entry.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Access;
    use crate::secrets::Password;

    const DOOR: Entrance = Entrance { endpoint: 0, access: Access::ReadWrite };

    #[tokio::test]
    async fn a_connection_stays_while_it_is_aimed_at() {
        let registry = Arc::new(Registry::new());
        let presence = registry.enter("peer".into(), DOOR);
        assert!(presence.aim(false).is_none());
        let connection = Attached { target: 1, id: 7 };
        presence.attach(connection);
        let aim = presence.aim(false).unwrap();
        assert_eq!(aim.connection, connection);
        let entry = Arc::clone(&presence);
        let mut detach = tokio_test::task::spawn(async move { entry.detach().await });
        assert!(detach.poll().is_pending());
        drop(aim);
        assert!(detach.is_woken());
        assert!(detach.poll().is_ready());
        assert!(presence.aim(false).is_none());
    }

    #[test]
    fn there_are_no_more_of_a_user_than_may_be() {
        let registry = Arc::new(Registry::new());
        let account =
            |user: &str| Arc::new(Account::new(user.into(), Password::default(), None, None, None));
        let (app, other) = (account("app"), account("other"));
        let here: Vec<Presence> = (0..4).map(|_| registry.enter("peer".into(), DOOR)).collect();
        assert!(here[0].log_in(&app, Some(2)));
        assert!(here[1].log_in(&app, Some(2)));
        assert!(!here[2].log_in(&app, Some(2)));
        assert_eq!(&*here[2].user(), "");
        assert!(here[0].log_in(&app, Some(2)), "it is one of the two");
        assert!(here[3].log_in(&app, None));
        assert!(here[1].log_in(&other, Some(1)));
        assert!(!here[2].log_in(&app, Some(2)));
        assert!(!here[2].log_in(&other, Some(1)));
        assert!(!here[0].log_in(&other, Some(1)));
        assert_eq!(&*here[0].user(), "app", "as it was");
        drop(here);
        assert!(registry.users().is_empty());
    }

    #[test]
    fn attributes_are_kept_within_bounds() {
        let registry = Arc::new(Registry::new());
        let presence = registry.enter("a client".into(), DOOR);
        let pair = |name: &str, len| (name.to_owned(), "x".repeat(len));
        let said = [pair("program_name", 100), pair("_pid", 1), pair("long", 500), pair("os", 1)];
        presence.set_attributes(&said);
        assert_eq!(&registry.get(presence.id).unwrap().attributes()[..], &said[..2]);
        presence.set_attributes(&[]);
        assert!(presence.attributes().is_empty());
    }

    #[test]
    fn who_left_is_gone_and_ids_are_ours() {
        let registry = Arc::new(Registry::new());
        let presence = registry.enter("peer".into(), DOOR);
        assert!(Registry::is_own(presence.id.into()));
        assert!(registry.get(presence.id).is_some());
        let id = presence.id;
        drop(presence);
        assert!(registry.get(id).is_none());
    }

    #[test]
    fn the_sweep_dooms_the_idle_and_names_the_slow() {
        let registry = Arc::new(Registry::new());
        let idle = registry.enter("a".into(), DOOR);
        let slow = registry.enter("b".into(), DOOR);
        idle.set_activity(Activity::Idle);
        slow.set_activity(Activity::Active);
        let limits =
            Limits { idle: Some(Duration::ZERO), query: Some(Duration::ZERO), ..Limits::default() };
        std::iter::repeat_with(|| registry.sweep(&limits))
            .find(|overdue| !overdue.queries.is_empty())
            .map(|overdue| assert_eq!(overdue.queries[0].id, slow.id))
            .unwrap();
        assert_eq!(idle.doomed(), Some(Doom::Idle));
        assert_eq!(slow.doomed(), None);
        idle.pardon_idle();
        assert_eq!(idle.doomed(), None);
    }
}
