//! How many connections a user may have in hand, of those there are for all.
//!
//! Owns the count and the queue of each user that has a bound of their own; who has none pays nothing
//! for it. Never looks at a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{BorrowError, lock};
use crate::secrets::Account;

#[derive(Default)]
pub(super) struct Turns {
    users: Mutex<HashMap<Arc<str>, Bounded>>,
}

#[derive(Clone)]
struct Bounded {
    most: u32,
    free: Arc<Semaphore>,
}

/// The right of a user to one more, given up with it.
pub(super) type Turn = OwnedSemaphorePermit;

impl Turns {
    /// `Ok(None)`: the user has no bound. `Err`: as many as may be are in hand.
    pub fn at_once(&self, account: &Account) -> Result<Option<Turn>, ()> {
        let Some(Bounded { free, .. }) = self.of(account) else { return Ok(None) };
        free.try_acquire_owned().map(Some).map_err(drop)
    }

    /// In the order in which they ask. Cancel-safe.
    pub async fn wait(
        &self,
        account: &Account,
        patience: Duration,
    ) -> Result<Option<Turn>, BorrowError> {
        let Some(Bounded { most, free }) = self.of(account) else { return Ok(None) };
        let started = Instant::now();
        match tokio::time::timeout(patience, free.acquire_owned()).await {
            Ok(turn) => turn.map(Some).map_err(|_| BorrowError::Closed),
            Err(_) => Err(BorrowError::OwnBound {
                waited: started.elapsed(),
                user: Arc::clone(&account.username),
                most,
            }),
        }
    }

    /// Another bound begins to count anew: what is in hand then is not among it.
    fn of(&self, account: &Account) -> Option<Bounded> {
        let most = account.bounds.max_server_connections.filter(|most| *most > 0)?;
        let mut users = lock(&self.users);
        if let Some(bounded) = users.get(&account.username).filter(|it| it.most == most) {
            return Some(bounded.clone());
        }
        let bounded = Bounded { most, free: Arc::new(Semaphore::new(most as usize)) };
        users.insert(Arc::clone(&account.username), bounded.clone());
        Some(bounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Password;

    fn account(user: &str, most: Option<u32>) -> Account {
        let mut account = Account::new(user.into(), Password::default(), None, None, None);
        account.bounds.max_server_connections = most;
        account
    }

    #[test]
    fn as_many_as_may_be() {
        let turns = Turns::default();
        let (app, other) = (account("app", Some(2)), account("other", Some(1)));
        let first = turns.at_once(&app).unwrap().unwrap();
        let _second = turns.at_once(&app).unwrap().unwrap();
        assert!(turns.at_once(&app).is_err());
        let _others = turns.at_once(&other).unwrap().unwrap();
        drop(first);
        let _third = turns.at_once(&app).unwrap().unwrap();
        assert!(turns.at_once(&app).is_err());
        assert!(turns.at_once(&account("app", Some(3))).unwrap().is_some(), "another bound");
        for free in [account("app", None), account("app", Some(0))] {
            assert!(turns.at_once(&free).unwrap().is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_served_in_turn_or_told_why_not() {
        let turns = Turns::default();
        let app = account("app", Some(1));
        let held = turns.at_once(&app).unwrap();
        let patience = Duration::from_secs(3);
        let told = turns.wait(&app, patience).await.unwrap_err();
        assert!(matches!(told, BorrowError::OwnBound { most: 1, .. }), "{told}");
        let mut first = tokio_test::task::spawn(turns.wait(&app, patience));
        let mut second = tokio_test::task::spawn(turns.wait(&app, patience));
        assert!(first.poll().is_pending() && second.poll().is_pending());
        drop(held);
        assert!(second.poll().is_pending());
        assert!(first.poll().is_ready());
    }
}
