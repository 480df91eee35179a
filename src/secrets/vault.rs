//! The secrets in force: generations that replace each other whole.
//!
//! A reader holds a generation for as long as it needs and never sees half of a rotation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::Account;

/// Parsed, but not in force yet.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    pub accounts: Vec<Account>,
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub struct Generation {
    pub number: u64,
    accounts: BTreeMap<Arc<str>, Arc<Account>>,
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

    /// Whether `account` is still what the file says. An account that did not change keeps its
    /// `Arc` from one generation to the next, so this costs one look-up and no comparison.
    pub fn holds(&self, account: &Arc<Account>) -> bool {
        self.account(&account.username).is_some_and(|mine| Arc::ptr_eq(mine, account))
    }

    fn next(&self, secrets: &Secrets) -> Self {
        let mut accounts = BTreeMap::new();
        for account in &secrets.accounts {
            let kept = match self.account(&account.username) {
                Some(old) if **old == *account => Arc::clone(old),
                _ => Arc::new(account.clone()),
            };
            accounts.insert(account.username.clone(), kept);
        }
        Self { number: self.number + 1, accounts }
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
        let none = Generation { number: 0, accounts: BTreeMap::new() };
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

    /// Puts `secrets` in force and returns the number of the new generation.
    pub fn replace(&self, secrets: Secrets) -> u64 {
        let old = self.current.rcu(|old| old.next(&secrets));
        drop(secrets);
        self.number.fetch_max(old.number + 1, Ordering::Release);
        old.number + 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::Password;
    use super::*;

    fn account(user: &str, password: &str) -> Account {
        Account::new(user.to_owned(), Password::new(password), None, None, None)
    }

    fn secrets(accounts: &[(&str, &str)]) -> Secrets {
        Secrets {
            accounts: accounts.iter().map(|(u, p)| account(u, p)).collect(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn replaces_whole_and_keeps_what_did_not_change() {
        let vault = Vault::new(secrets(&[("a", "1"), ("b", "1"), ("c", "1")]));
        assert_eq!(vault.number(), vault.current().number);
        let old = vault.current();
        assert_eq!(old.number, 1);

        assert_eq!(vault.replace(secrets(&[("a", "1"), ("b", "2"), ("d", "1")])), 2);
        let new = vault.current();
        assert_eq!((new.number, vault.number()), (2, 2));
        assert!(new.holds(old.account("a").unwrap()));
        assert!(!new.holds(old.account("b").unwrap()));
        assert!(!new.holds(old.account("c").unwrap()));
        assert_eq!(old.account("b").unwrap().password, Password::new("1"));
        let names: Vec<_> = new.accounts().map(|a| &*a.username).collect();
        assert_eq!(names, ["a", "b", "d"]);
    }

    #[test]
    fn nothing_prints_a_password() {
        let vault = Vault::new(secrets(&[("app", "hunter2")]));
        assert!(!format!("{vault:?} {:?}", vault.current()).contains("hunter2"));
    }
}
