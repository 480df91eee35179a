//! `tidegate token`: one signed token, for tests and for small set-ups.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::cli::Failure;
use crate::auth::{Minting, mint};
use crate::config::{Source, TokenRules};

/// What is to be minted; what is not said is as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub user: String,
    pub ttl: Duration,
    /// A private key in PEM.
    pub key: PathBuf,
    pub key_id: Option<String>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub config: Option<PathBuf>,
}

pub fn token(
    wanted: &Wanted,
    env: impl Iterator<Item = (String, String)>,
) -> Result<String, Failure> {
    let rules = match &wanted.config {
        Some(path) => Source::File(path.clone()).load(env)?.client.tokens,
        None => None,
    };
    let said = |word: &Option<String>, ruled: fn(&TokenRules) -> &String| {
        word.clone().or_else(|| rules.as_ref().map(ruled).cloned())
    };
    let issuer = said(&wanted.issuer, |rules| &rules.issuer);
    let audience = said(&wanted.audience, |rules| &rules.audience);
    let (Some(issuer), Some(audience)) = (issuer, audience) else {
        let why = "say --issuer and --audience, or name a configuration with [client.tokens]";
        return Err(Failure::other(why));
    };
    let claim = said(&None, |rules| &rules.user_claim);
    let shown = wanted.key.display();
    let key = fs::read(&wanted.key)
        .map_err(|error| Failure::other(format!("{shown}: cannot be read: {error}")))?;
    let minting = Minting {
        subject: &wanted.user,
        claim: claim.as_deref().unwrap_or(TokenRules::USER_CLAIM),
        issuer: &issuer,
        audience: &audience,
        key_id: wanted.key_id.as_deref(),
        now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        ttl: wanted.ttl,
    };
    mint(&key, &minting).map_err(|error| Failure::other(format!("{shown}: {error}")))
}
