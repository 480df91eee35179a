//! The configuration and the secrets: whatever stands in them, all that is wrong is said.

use std::{fs, path::Path, sync::LazyLock};

use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

pub fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(mistakes) =
            tidegate::config::parse(Path::new("tidegate.toml"), text, std::iter::empty())
    {
        assert!(!mistakes.to_string().is_empty());
    }
    let path = FOLDER.path().join("secrets");
    fs::write(&path, bytes).expect("a file");
    if let Err(error) = tidegate::secrets::load(&path) {
        assert!(!error.problems.is_empty());
    }
    if let Err(error) = tidegate::secrets::read(Path::new("/program"), bytes) {
        assert!(!error.problems.is_empty());
    }
}
