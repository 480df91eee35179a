//! The secrets, read again: whole, or not at all.

use crate::config::Settings;
use crate::secrets::{self, SecretsError, Vault};

pub(super) struct Reloaded {
    pub generation: u64,
    pub warnings: Vec<String>,
}

/// A bad new version is refused whole and the old one kept. Told in the log either way.
pub(super) fn secrets(settings: &Settings, vault: &Vault) -> Result<Reloaded, SecretsError> {
    match secrets::load(&settings.secrets) {
        Ok(secrets) => {
            let warnings = secrets.warnings.clone();
            for warning in &warnings {
                tracing::warn!("{warning}");
            }
            let generation = vault.replace(secrets);
            tracing::info!(generation, "the secrets were read again");
            Ok(Reloaded { generation, warnings })
        }
        Err(error) => {
            tracing::error!(%error, "the secrets were not read again, the old ones stay");
            Err(error)
        }
    }
}
