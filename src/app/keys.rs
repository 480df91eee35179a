//! The keys that tokens are verified with: what they are read from, and where the next ones go.

use std::fs;
use std::sync::Arc;

use super::renew::Renewal;
use crate::auth::{KeysError, Tokens};
use crate::config::{Mistake, TokenRules};
use crate::frontend::Shared;

pub(super) const KEY: &str = "client.tokens.keys";

#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

pub(super) fn load(rules: &TokenRules) -> Result<Tokens, Mistake> {
    read(rules).map_err(|error| Mistake::in_file(&rules.keys, None, KEY, error.to_string()))
}

pub(super) fn renewal(rules: &TokenRules, shared: &Arc<Shared>) -> Renewal {
    let (metrics, shared) = (&shared.metrics.secrets, Arc::clone(shared));
    let rules = rules.clone();
    Renewal {
        what: "keys of tokens",
        paths: [rules.keys.clone()].into(),
        generation: metrics.token_keys_generation.clone(),
        failures: metrics.token_keys_failures.clone(),
        renew: Box::new(move || {
            let tokens = Arc::new(read(&rules)?);
            if let Some(keys) = &shared.tokens {
                keys.store(tokens);
            }
            Ok(())
        }),
    }
}

fn read(rules: &TokenRules) -> Result<Tokens, Unfit> {
    Ok(Tokens::read(&fs::read_to_string(&rules.keys)?, rules)?)
}
