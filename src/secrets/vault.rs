//! The secrets in force: generations that replace each other whole.
//!
//! A reader holds a generation for as long as it needs and never sees half of a rotation.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Account, Admin};

/// Parsed, but not in force yet.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    pub accounts: Vec<Account>,
    pub admins: Vec<Admin>,
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub struct Generation {
    pub number: u64,
    accounts: BTreeMap<Arc<str>, Arc<Account>>,
    admins: Vec<Admin>,
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

    fn next(&self, secrets: &Secrets) -> Self {
        let mut accounts = BTreeMap::new();
        for account in &secrets.accounts {
            let kept = match self.account(&account.username) {
                Some(old) if **old == *account => Arc::clone(old),
                _ => Arc::new(account.clone()),
            };
            accounts.insert(account.username.clone(), kept);
        }
        Self { number: self.number + 1, accounts, admins: secrets.admins.clone() }
    }
}

#[derive(Debug)]
pub struct Vault {
    current: ArcSwap<Generation>,
}

impl Vault {
    /// Begins with generation 1.
    pub fn new(secrets: Secrets) -> Self {
        let none = Generation { number: 0, accounts: BTreeMap::new(), admins: Vec::new() };
        let first = none.next(&secrets);
        drop(secrets);
        Self { current: ArcSwap::from_pointee(first) }
    }

    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Puts `secrets` in force and returns the number of the new generation.
    pub fn replace(&self, secrets: Secrets) -> u64 {
        let old = self.current.rcu(|old| old.next(&secrets));
        drop(secrets);
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
            ..Secrets::default()
        }
    }

    #[test]
    fn replaces_whole_and_keeps_what_did_not_change() {
        let vault = Vault::new(secrets(&[("a", "1"), ("b", "1"), ("c", "1")]));
        let old = vault.current();
        assert_eq!(old.number, 1);

        assert_eq!(vault.replace(secrets(&[("a", "1"), ("b", "2"), ("d", "1")])), 2);
        let new = vault.current();
        assert_eq!(new.number, 2);
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
