//! `[client.tokens]`: signed tokens in place of passwords.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mistake::Mistake;
use super::scalar;
use super::section::Section;

/// Whose tokens are believed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// The issuer's public keys: PEM, or a JSON Web Key Set.
    pub keys: PathBuf,
    pub issuer: String,
    pub audience: String,
    /// The claim that says whose a token is.
    pub user_claim: String,
    /// By how much clocks may differ.
    pub leeway: Duration,
}

impl TokenRules {
    pub const USER_CLAIM: &'static str = "sub";
    pub(super) const LEEWAY: Duration = Duration::from_secs(30);

    /// `None` where no keys are named.
    pub(super) fn read(
        mut section: Section<'_>,
        base: &Path,
        found: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let keys = section.value("keys", None, scalar::maybe_path);
        let issuer = section.value("issuer", String::new(), scalar::text);
        let audience = section.value("audience", String::new(), scalar::text);
        let claim = Self::USER_CLAIM.to_owned();
        let user_claim = section.value("user_claim", claim, scalar::name);
        let leeway = section.value("leeway", Self::LEEWAY, scalar::any_duration);
        for (key, value) in [("issuer", &issuer), ("audience", &audience)] {
            let (is, sound) = (!value.is_empty(), section.sound(&["keys", "issuer", "audience"]));
            if sound && keys.is_some() && !is {
                // A key set is often shared by everything an issuer signs for.
                section.wrong(
                    "keys",
                    format!("a token says who signed it and for whom: set {key} too"),
                );
            }
            if sound && keys.is_none() && is {
                section.wrong(key, "there is no key to verify a token with: set keys too");
            }
        }
        found.extend(section.close());
        let keys = base.join(keys?);
        Some(Self { keys, issuer, audience, user_claim, leeway })
    }
}
