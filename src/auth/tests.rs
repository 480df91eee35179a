//! The two machines against each other, over every plugin and switch.

use std::sync::Arc;

use super::Plugin::{CachingSha2Password as Sha2, NativePassword as Native};
use super::*;
use crate::secrets::{Account, Password};

fn account(password: &str, previous: Option<&str>) -> Arc<Account> {
    let previous = previous.map(Password::new);
    Arc::new(Account::new("app".into(), Password::new(password), previous, None, None))
}

/// A whole login; `greeting` is the plugin the greeting names, `announced` what the client's
/// packet then names instead of what the prover says.
fn login(
    account: Option<Arc<Account>>,
    password: &str,
    greeting: &str,
    announced: Option<&str>,
    fallback: Plugin,
) -> bool {
    let nonce = Nonce::random();
    let mut verifier = Verifier::new(nonce, account, fallback);
    let mut prover = Prover::new(Password::new(password), false);
    let (plugin, response) = prover.first(greeting.as_bytes(), nonce.as_bytes());
    let name = announced.unwrap_or(plugin.name());
    let mut verdict = verifier.answer(name.as_bytes(), &response);
    if let Some(question) = verdict.question() {
        let mut packet = bytes::BytesMut::new();
        question.put(&mut packet, 2);
        let packet = packet.split_off(4);
        let Ok(Proof::Send(answer)) = prover.on_packet(&packet) else { return false };
        verdict = verifier.answer_switch(&answer);
    }
    match verdict {
        Verdict::Accept { fast_auth_ok: true } => {
            assert!(matches!(prover.on_packet(&[1, 3]), Ok(Proof::Wait)));
            true
        }
        Verdict::Accept { fast_auth_ok: false } => true,
        _ => false,
    }
}

#[test]
fn every_login() {
    let accounts = [
        (Some(account("pw", None)), "pw", true),
        (Some(account("pw", None)), "px", false),
        (Some(account("pw", None)), "", false),
        (Some(account("pw", Some("old"))), "old", true),
        (Some(account("pw", Some("old"))), "older", false),
        (Some(account("", None)), "", true),
        (Some(account("", None)), "x", false),
        (Some(account("", Some("old"))), "old", false),
        (None, "pw", false),
        (None, "", false),
    ];
    for (account, password, expected) in accounts {
        for greeting in [Native.name(), Sha2.name(), "client_ed25519"] {
            for announced in [
                None,
                Some("client_ed25519"),
                Some("mysql_clear_password"),
                Some("sha256_password"),
            ] {
                for fallback in [Native, Sha2] {
                    let let_in = login(account.clone(), password, greeting, announced, fallback);
                    assert_eq!(
                        let_in, expected,
                        "{account:?} {password:?} {greeting} {announced:?} {fallback:?}"
                    );
                }
            }
        }
    }
}
