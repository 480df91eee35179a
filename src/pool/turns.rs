//! How many connections a user may have in hand, of those there are for all.
//!
//! Owns the count and the queue of each user that has a bound of their own; who has none pays nothing
//! for it. A bound that moves is moved under those who wait: more is there at once, less is taken as it
//! is given up. Never looks at a connection.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{BorrowError, lock};
use crate::backend::Credentials;
use crate::secrets::{Account, Generation};

#[derive(Default)]
pub(super) struct Turns(Mutex<Users>);

#[derive(Default)]
struct Users {
    by_name: HashMap<Arc<str>, Arc<Bounded>>,
    closed: bool,
}

struct Bounded {
    free: Arc<Semaphore>,
    share: Mutex<Share>,
}

struct Share {
    most: usize,
    /// So many turns are in hand above that: they are taken back as they are given up.
    debt: usize,
}

/// The right of a user to one more, given up with it.
pub(super) struct Turn {
    permit: Option<OwnedSemaphorePermit>,
    of: Arc<Bounded>,
}

impl Turns {
    /// `Ok(None)`: the user has no bound. `Err`: as many as may be are in hand.
    pub fn at_once(&self, account: &Account, now: &Credentials) -> Result<Option<Turn>, ()> {
        let Some(of) = self.of(account, &now.current()) else { return Ok(None) };
        let permit = Some(Arc::clone(&of.free).try_acquire_owned().map_err(drop)?);
        Ok(Some(Turn { permit, of }))
    }

    /// In the order in which they ask. Cancel-safe.
    pub async fn wait(
        &self,
        account: &Account,
        now: &Credentials,
        patience: Duration,
    ) -> Result<Option<Turn>, BorrowError> {
        let started = Instant::now();
        let mut secrets = now.current();
        let Some(of) = self.of(account, &secrets) else { return Ok(None) };
        let turn = async {
            let mut free = pin!(Arc::clone(&of.free).acquire_owned());
            loop {
                tokio::select! {
                    permit = &mut free => {
                        let permit = Some(permit.map_err(|_| BorrowError::Closed)?);
                        return Ok(Some(Turn { permit, of: Arc::clone(&of) }));
                    }
                    // There may be more now, or no bound at all.
                    () = now.changed_from(secrets.number) => {
                        secrets = now.current();
                        if self.of(account, &secrets).is_none() {
                            return Ok(None);
                        }
                    }
                }
            }
        };
        let turn = tokio::time::timeout(patience, turn).await;
        turn.unwrap_or_else(|_| {
            let most = lock(&of.share).most;
            Err(BorrowError::OwnBound {
                waited: started.elapsed(),
                user: Arc::clone(&account.username),
                most: u32::try_from(most).unwrap_or(u32::MAX),
            })
        })
    }

    /// Whoever waits is told so.
    pub fn close(&self) {
        let mut users = lock(&self.0);
        users.closed = true;
        users.by_name.values().for_each(|of| of.free.close());
    }

    /// The secrets of now decide, as long as they know the user, and not those a session has in hand.
    fn of(&self, account: &Account, secrets: &Generation) -> Option<Arc<Bounded>> {
        let bound = |account: &Account| account.bounds.max_server_connections.filter(|it| *it > 0);
        bound(account)?;
        let most =
            secrets.account(&account.username).map_or_else(|| bound(account), |it| bound(it));
        let most = most? as usize;
        let mut users = lock(&self.0);
        if let Some(of) = users.by_name.get(&account.username) {
            of.move_to(most);
            return Some(Arc::clone(of));
        }
        let of = Arc::new(Bounded::new(most));
        if users.closed {
            of.free.close();
        }
        users.by_name.insert(Arc::clone(&account.username), Arc::clone(&of));
        Some(of)
    }
}

impl Bounded {
    fn new(most: usize) -> Self {
        let share = Mutex::new(Share { most, debt: 0 });
        Self { free: Arc::new(Semaphore::new(most)), share }
    }

    fn move_to(&self, most: usize) {
        let mut share = lock(&self.share);
        if most > share.most {
            let more = most - share.most;
            let paid = more.min(share.debt);
            share.debt -= paid;
            self.free.add_permits(more - paid);
        }
        share.debt += share.most.saturating_sub(most);
        share.most = most;
        if share.debt > 0 {
            share.debt -= self.free.forget_permits(share.debt);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut share = lock(&self.of.share);
        if share.debt > 0 {
            share.debt -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{Password, Secrets, Vault};

    fn account(user: &str, most: Option<u32>) -> Account {
        let mut account = Account::new(user.into(), Password::default(), None, None, None);
        account.bounds.max_server_connections = most;
        account
    }

    struct House {
        vault: Arc<Vault>,
        now: Credentials,
        turns: Turns,
    }

    fn house(accounts: Vec<Account>) -> House {
        let vault = Arc::new(Vault::new(Secrets { accounts, ..Secrets::default() }));
        House { now: Credentials::new(Arc::clone(&vault)), vault, turns: Turns::default() }
    }

    impl House {
        fn set(&self, most: Option<u32>) {
            let accounts = vec![account("app", most)];
            self.vault.replace(&Secrets { accounts, ..Secrets::default() }).unwrap();
            self.now.tell_read();
        }

        fn at_once(&self, account: &Account) -> Result<Option<Turn>, ()> {
            self.turns.at_once(account, &self.now)
        }
    }

    #[test]
    fn as_many_as_may_be() {
        let house = house(Vec::new());
        let (app, other) = (account("app", Some(2)), account("other", Some(1)));
        let first = house.at_once(&app).unwrap().unwrap();
        let _second = house.at_once(&app).unwrap().unwrap();
        assert!(house.at_once(&app).is_err());
        let _others = house.at_once(&other).unwrap().unwrap();
        drop(first);
        let _third = house.at_once(&app).unwrap().unwrap();
        assert!(house.at_once(&app).is_err());
        for free in [account("app", None), account("app", Some(0))] {
            assert!(house.at_once(&free).unwrap().is_none());
        }
    }

    #[test]
    fn another_bound_counts_what_is_in_hand() {
        let house = house(vec![account("app", Some(2))]);
        let before = account("app", Some(2));
        let mut held = vec![house.at_once(&before).unwrap(), house.at_once(&before).unwrap()];
        house.set(Some(3));
        held.push(house.at_once(&before).unwrap());
        assert!(house.at_once(&account("app", Some(3))).is_err());
        assert!(house.at_once(&before).is_err(), "the secrets of now decide");
        house.set(Some(1));
        for _ in 0..2 {
            assert!(house.at_once(&before).is_err());
            held.pop();
        }
        assert!(house.at_once(&before).is_err());
        held.pop();
        let _one = house.at_once(&before).unwrap();
        assert!(house.at_once(&before).is_err());
        house.set(None);
        assert!(house.at_once(&before).unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_served_in_turn_or_told_why_not() {
        let house = house(Vec::new());
        let app = account("app", Some(1));
        let held = house.at_once(&app).unwrap();
        let wait = || house.turns.wait(&app, &house.now, Duration::from_secs(3));
        let told = wait().await.err().unwrap();
        assert!(matches!(told, BorrowError::OwnBound { most: 1, .. }), "{told}");
        let mut first = tokio_test::task::spawn(wait());
        let mut second = tokio_test::task::spawn(wait());
        assert!(first.poll().is_pending() && second.poll().is_pending());
        drop(held);
        assert!(second.poll().is_pending());
        assert!(first.poll().is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_of_another_bound_and_of_the_end() {
        let house = house(vec![account("app", Some(1))]);
        let app = account("app", Some(1));
        let held = house.at_once(&app).unwrap();
        let wait =
            || tokio_test::task::spawn(house.turns.wait(&app, &house.now, Duration::from_secs(60)));
        let (mut first, mut second) = (wait(), wait());
        assert!(first.poll().is_pending() && second.poll().is_pending());
        house.set(Some(2));
        assert!(first.is_woken());
        let _served = assert_ready(first.poll());
        assert!(second.poll().is_pending());
        house.turns.close();
        assert!(matches!(second.poll(), std::task::Poll::Ready(Err(BorrowError::Closed))));
        assert!(house.at_once(&app).is_err());
        assert!(house.at_once(&account("other", Some(1))).is_err());
        drop(held);
    }

    fn assert_ready<T>(polled: std::task::Poll<T>) -> T {
        let std::task::Poll::Ready(served) = polled else { panic!("it still waits") };
        served
    }
}
