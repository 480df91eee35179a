//! The keys that tokens are verified with: what they are read from, and where the next ones go.

use std::fs;
use std::sync::Arc;

use super::renew::Renewal;
use crate::auth::{KeysError, Tokens};
use crate::config::{InForce, Mistake, Settings, TokenRules};
use crate::frontend::Shared;

pub(super) const KEY: &str = "client.tokens.keys";

#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// `None`: nobody logs in with a token.
pub(super) fn load(settings: &Settings) -> Result<Option<Arc<Tokens>>, Mistake> {
    let Some(rules) = &settings.client.tokens else { return Ok(None) };
    match read(rules) {
        Ok(tokens) => Ok(Some(Arc::new(tokens))),
        Err(error) => Err(Mistake::in_file(&rules.keys, None, KEY, error.to_string())),
    }
}

pub(super) fn renewal(settings: Arc<InForce>, shared: Arc<Shared>) -> Renewal {
    let metrics = &shared.metrics.secrets;
    Renewal {
        what: "keys of tokens",
        settings,
        paths: |settings| settings.client.tokens.iter().map(|rules| rules.keys.clone()).collect(),
        generation: metrics.token_keys_generation.clone(),
        failures: metrics.token_keys_failures.clone(),
        renew: Box::new(move |settings| {
            let before = shared.tokens.load_full();
            let settings = settings.load_full();
            let Some(rules) = &settings.client.tokens else { return Ok(()) };
            let next = Some(Arc::new(read(rules)?));
            // Where the configuration has put others in their place meanwhile, those stay.
            shared.tokens.compare_and_swap(&before, next);
            Ok(())
        }),
    }
}

fn read(rules: &TokenRules) -> Result<Tokens, Unfit> {
    Ok(Tokens::read(&fs::read_to_string(&rules.keys)?, rules)?)
}
