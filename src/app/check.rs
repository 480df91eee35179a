//! `tidegate check`: everything wrong with a configuration, or one line that says it is fit.
//!
//! The judges of files and of targets are passed in; nothing is printed here.

use std::fs::{self, File};
use std::path::Path;

use super::cli::Failure;
use super::keys;
use crate::config::{Mistake, Mistakes, Settings, Source};

/// What was found, where the configuration itself is fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// For standard output.
    pub text: String,
    /// Why clients cannot be served, where the targets were asked.
    pub unfit: Option<String>,
}

/// Settings first; then the files they name; then, where asked for, the targets.
pub fn check<C>(
    source: &Source,
    env: impl Iterator<Item = (String, String)>,
    files: impl FnOnce(&Settings) -> Vec<Mistake>,
    connect: Option<C>,
) -> Result<Told, Failure>
where
    C: FnOnce(&Settings) -> Result<Told, Failure>,
{
    let settings = source.load(env)?;
    let mistakes = Mistakes::new(files(&settings));
    if !mistakes.is_empty() {
        return Err(mistakes.into());
    }
    let fit = fit(&settings);
    let Some(connect) = connect else { return Ok(Told { text: fit, unfit: None }) };
    let Told { text, unfit } = connect(&settings)?;
    Ok(Told { text: format!("{fit}\n{text}"), unfit })
}

/// The files of a configuration that cannot be read at all.
pub fn unreadable(settings: &Settings) -> Vec<Mistake> {
    let (client, target) = (&settings.tls_client, &settings.tls_target);
    let tls = [
        ("tls.client.certificate", client.pair.as_ref().map(|pair| &pair.certificate)),
        ("tls.client.key", client.pair.as_ref().map(|pair| &pair.key)),
        ("tls.client.ca", client.ca.as_ref()),
        ("tls.target.ca", target.ca.as_ref()),
        ("tls.target.certificate", target.pair.as_ref().map(|pair| &pair.certificate)),
        ("tls.target.key", target.pair.as_ref().map(|pair| &pair.key)),
    ];
    let tls = tls.into_iter().filter_map(|(key, path)| Some((key, path?, false)));
    let secrets = match &settings.secrets_command {
        Some(command) => ("secrets.command", &command.program, false),
        None => ("secrets.path", &settings.secrets, true),
    };
    let named = [secrets].into_iter().chain(tls);
    let keys = settings.client.tokens.iter().map(|rules| (keys::KEY, &rules.keys, false));
    let named = named.chain(keys);
    named.filter_map(|(key, path, folder)| cannot_read(key, path, folder)).collect()
}

fn cannot_read(key: &str, path: &Path, may_be_folder: bool) -> Option<Mistake> {
    let why = match fs::metadata(path).and_then(|meta| {
        if meta.is_dir() { fs::read_dir(path).map(drop) } else { File::open(path).map(drop) }?;
        Ok(meta)
    }) {
        Err(error) => format!("cannot be read: {error}"),
        Ok(meta) if meta.is_dir() && !may_be_folder => "cannot be read: it is a folder".to_owned(),
        Ok(_) => return None,
    };
    Some(Mistake::in_file(path, None, key, why))
}

fn fit(settings: &Settings) -> String {
    let source = match settings.source() {
        Source::File(path) => path.display().to_string(),
        Source::Environment => "environment".to_owned(),
        Source::CommandLine { .. } => "command line".to_owned(),
    };
    let endpoints = counted(settings.endpoints.len(), "endpoint");
    let targets = counted(settings.targets.len(), "target");
    format!("{source}: valid: {endpoints}, {targets}")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        let target = "db:3306".parse().unwrap();
        Source::CommandLine { target, secrets: "/no/such".into(), listen: None }
    }

    type Connect = fn(&Settings) -> Result<Told, Failure>;

    #[test]
    fn what_is_fit_is_said_to_be() {
        let told = check(&source(), std::iter::empty(), |_| Vec::new(), None::<Connect>);
        let told = told.unwrap();
        assert_eq!((&*told.text, told.unfit), ("command line: valid: 1 endpoint, 1 target", None));
    }

    #[test]
    fn targets_come_after_the_files() {
        let connect: Connect = |settings| {
            let text = format!("{}: down", settings.targets[0].name);
            Ok(Told { text, unfit: Some("it is down".to_owned()) })
        };
        let told = check(&source(), std::iter::empty(), |_| Vec::new(), Some(connect)).unwrap();
        assert_eq!(told.text.lines().last(), Some("primary: down"));
        assert_eq!(told.unfit.as_deref(), Some("it is down"));
        let told = check(&source(), std::iter::empty(), unreadable, Some(connect)).unwrap_err();
        assert!(
            told.to_string().starts_with("/no/such: secrets.path: cannot be read: No such file"),
            "{told}"
        );
        assert_eq!(told.code(), 78);
    }

    #[test]
    fn only_secrets_may_be_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(cannot_read("tls.target.ca", folder.path(), true), None);
        assert!(cannot_read("tls.target.ca", folder.path(), false).is_some());
    }
}
