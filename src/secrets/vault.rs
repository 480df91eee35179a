//! The secrets in force: generations that replace each other whole.
//!
//! A reader holds a generation for as long as it needs and never sees half of a rotation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Account, Admin, Password};

/// Parsed, but not in force yet.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    pub accounts: Vec<Account>,
    pub admins: Vec<Admin>,
    pub warnings: Vec<String>,
    /// The first of them to expire, where they say so.
    pub expiry: Option<Expiry>,
}

/// When secrets have to be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Since they were printed.
    In(Duration),
    /// Since 1970.
    At(Duration),
}

#[derive(Debug)]
pub struct Generation {
    pub number: u64,
    accounts: BTreeMap<Arc<str>, Arc<Account>>,
    admins: Vec<Admin>,
    /// By the name of the server's user: the generation that last changed how to log in as it.
    logins: BTreeMap<Arc<str>, u64>,
}

impl Generation {
    /// Names are compared byte by byte, as the server compares them.
    pub fn account(&self, user: &str) -> Option<&Arc<Account>> {
        self.accounts.get(user)
    }

    /// In the order of their names.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.values()
    }

    /// Who may log in to the console; never a client.
    pub fn admin(&self, user: &str) -> Option<&Admin> {
        self.admins.iter().find(|admin| admin.username() == user)
    }

    pub fn has_admins(&self) -> bool {
        !self.admins.is_empty()
    }

    /// Whether `account` is still what the file says. An account that did not change keeps its
    /// `Arc` from one generation to the next, so this costs one look-up and no comparison.
    pub fn holds(&self, account: &Arc<Account>) -> bool {
        self.account(&account.username).is_some_and(|mine| Arc::ptr_eq(mine, account))
    }

    /// The generation that last changed how to log in as this user of the server's; connections
    /// older than it were made with a password that may be no more. `None`: nobody does.
    pub fn login(&self, target_username: &str) -> Option<u64> {
        self.logins.get(target_username).copied()
    }

    /// The users that are logged in to servers as this one.
    pub fn accounts_as<'a>(
        &'a self,
        target_username: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Account>> {
        self.accounts().filter(move |account| *account.target.username == *target_username)
    }

    fn says(&self, secrets: &Secrets) -> bool {
        let same = |written: &Account| {
            self.account(&written.username).is_some_and(|mine| mine.is_as(written))
        };
        secrets.accounts.len() == self.accounts.len()
            && secrets.accounts.iter().all(same)
            && secrets.admins == self.admins
    }

    fn next(&self, secrets: &Secrets) -> Self {
        let mut accounts = BTreeMap::new();
        for account in &secrets.accounts {
            let kept = match self.account(&account.username) {
                Some(old) if old.is_as(account) => Arc::clone(old),
                Some(old) => Arc::new(account.after(old)),
                None => Arc::new(account.clone()),
            };
            accounts.insert(Arc::clone(&account.username), kept);
        }
        let mut next = Self {
            number: self.number + 1,
            accounts,
            logins: BTreeMap::new(),
            admins: secrets.admins.clone(),
        };
        next.logins = next.accounts().map(|it| next.changed(self, &it.target.username)).collect();
        next
    }

    fn changed(&self, before: &Self, target_username: &Arc<str>) -> (Arc<str>, u64) {
        let passwords = |it: &Self| -> Vec<Password> {
            it.accounts_as(target_username).map(|it| it.target.password.clone()).collect()
        };
        let since = before.login(target_username);
        let kept = since.filter(|_| passwords(self) == passwords(before));
        (Arc::clone(target_username), kept.unwrap_or(self.number))
    }
}

#[derive(Debug)]
pub struct Vault {
    current: ArcSwap<Generation>,
    /// Its number, to be looked at for nothing.
    number: AtomicU64,
}

impl Vault {
    /// Begins with generation 1.
    pub fn new(secrets: Secrets) -> Self {
        let none = Generation {
            number: 0,
            accounts: BTreeMap::new(),
            logins: BTreeMap::new(),
            admins: Vec::new(),
        };
        let first = none.next(&secrets);
        drop(secrets);
        Self { number: AtomicU64::new(first.number), current: ArcSwap::from_pointee(first) }
    }

    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Of the current generation, for who has looked at it before: never ahead of it.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Puts `secrets` in force and returns the number of the new generation; `None` where they say
    /// nothing new.
    pub fn replace(&self, secrets: &Secrets) -> Option<u64> {
        if self.current.load().says(secrets) {
            return None;
        }
        let old = self.current.rcu(|old| old.next(secrets));
        self.number.fetch_max(old.number + 1, Ordering::Release);
        Some(old.number + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(user: &str, password: &str) -> Account {
        Account::new(user.to_owned(), Password::new(password), None, None, None)
    }

    fn secrets(accounts: &[(&str, &str)]) -> Secrets {
        Secrets {
            accounts: accounts.iter().map(|(u, p)| account(u, p)).collect(),
            ..Secrets::default()
        }
    }

    #[test]
    fn replaces_whole_and_keeps_what_did_not_change() {
        let vault = Vault::new(secrets(&[("a", "1"), ("b", "1"), ("c", "1")]));
        assert_eq!(vault.number(), vault.current().number);
        let old = vault.current();
        assert_eq!(old.number, 1);

        assert_eq!(vault.replace(&secrets(&[("a", "1"), ("b", "2"), ("d", "1")])), Some(2));
        let new = vault.current();
        assert_eq!((new.number, vault.number()), (2, 2));
        assert!(new.holds(old.account("a").unwrap()));
        assert!(!new.holds(old.account("b").unwrap()));
        assert!(!new.holds(old.account("c").unwrap()));
        assert_eq!(old.account("b").unwrap().password, Password::new("1").into());
        let names: Vec<_> = new.accounts().map(|a| &*a.username).collect();
        assert_eq!(names, ["a", "b", "d"]);
    }

    #[test]
    fn what_says_the_same_is_no_new_generation() {
        let vault = Vault::new(secrets(&[("a", "1"), ("b", "1")]));
        assert_eq!(vault.replace(&secrets(&[("b", "1"), ("a", "1")])), None);
        assert_eq!(vault.replace(&secrets(&[("a", "2"), ("b", "1")])), Some(2));
        // The vault remembers a password now that the file does not name.
        assert_eq!(vault.replace(&secrets(&[("a", "2"), ("b", "1")])), None);
        assert_eq!(vault.replace(&secrets(&[("a", "2")])), Some(3));
        assert_eq!(vault.current().number, 3);
    }

    #[test]
    fn a_login_changes_with_its_own_passwords_only() {
        let vault = Vault::new(secrets(&[("a", "1"), ("b", "1")]));
        let logins = |vault: &Vault| {
            let now = vault.current();
            (now.login("a"), now.login("b"), now.login("s"))
        };
        assert_eq!(logins(&vault), (Some(1), Some(1), None));
        vault.replace(&secrets(&[("a", "1"), ("b", "2")]));
        assert_eq!(logins(&vault), (Some(1), Some(2), None));
        // What clients may use says nothing of servers.
        let previous = Some(Password::new("0"));
        let mut next = secrets(&[("a", "1"), ("b", "2")]);
        next.accounts[0] = Account::new("a".into(), Password::new("1"), previous, None, None);
        assert_eq!(vault.replace(&next), Some(3));
        assert_eq!(logins(&vault), (Some(1), Some(2), None));
        // Two users of one server user share its login.
        let shared = |user: &str, password: &str| {
            let (target, password) = (Some("s".into()), Some(Password::new(password)));
            Account::new(user.into(), Password::new("x"), None, target, password)
        };
        let of = |accounts| Secrets { accounts, ..Secrets::default() };
        vault.replace(&of(vec![shared("a", "1"), shared("b", "1")]));
        assert_eq!(logins(&vault), (None, None, Some(4)));
        vault.replace(&of(vec![shared("a", "1"), shared("b", "2")]));
        assert_eq!(logins(&vault), (None, None, Some(5)));
    }

    #[test]
    fn a_server_that_lags_behind_is_offered_the_password_before() {
        let vault = Vault::new(secrets(&[("a", "1")]));
        vault.replace(&secrets(&[("a", "2")]));
        let offered = |vault: &Vault| {
            let account = Arc::clone(vault.current().account("a").unwrap());
            account.target.passwords().into_iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(offered(&vault), [Password::new("2"), Password::new("1")]);
        // What is written wins over what is remembered; clients never get by with the latter.
        assert_eq!(vault.current().account("a").unwrap().previous_password, None);
        let mut next = secrets(&[("a", "3")]);
        let previous = Some(Password::new("p"));
        next.accounts[0] = Account::new("a".into(), Password::new("3"), previous, None, None);
        vault.replace(&next);
        assert_eq!(offered(&vault), [Password::new("3"), Password::new("p")]);
    }

    #[test]
    fn nothing_prints_a_password() {
        let vault = Vault::new(secrets(&[("app", "hunter2")]));
        assert!(!format!("{vault:?} {:?}", vault.current()).contains("hunter2"));
    }
}
