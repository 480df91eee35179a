//! Reads the secrets from a file or a folder.
//!
//! Reports everything that is wrong at once, and takes nothing when anything is.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::text::{Finding, Parsed};
use super::{Problem, Secrets, SecretsError, json, toml};

/// `path` is a file, or a folder whose regular files are read in the order of their names.
/// Whether a file is TOML or JSON is told by its content, since Kubernetes names a file as its
/// secret's key is named.
pub fn load(path: &Path) -> Result<Secrets, SecretsError> {
    let mut loading = Loading::default();
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => loading.folder(path),
        Ok(meta) => loading.file(path, &meta),
        Err(error) => loading.unreadable(path, &error),
    }
    loading.finish(path)
}

/// The secrets that a program has printed, as JSON.
pub fn read(program: &Path, printed: &[u8]) -> Result<Secrets, SecretsError> {
    let mut loading = Loading::default();
    match std::str::from_utf8(printed) {
        Ok(text) => {
            let parsed = json::parse_printed(text);
            loading.secrets.expiry = parsed.expiry;
            loading.take(program, parsed);
        }
        Err(_) => loading.problem(program, Finding::new(None, "not UTF-8 text")),
    }
    loading.finish(program)
}

#[derive(Default)]
struct Loading {
    secrets: Secrets,
    problems: Vec<Problem>,
    seen: HashMap<String, (PathBuf, Option<usize>)>,
    admins_seen: HashMap<String, (PathBuf, Option<usize>)>,
}

impl Loading {
    fn folder(&mut self, path: &Path) {
        let names = fs::read_dir(path).and_then(|entries| {
            entries.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()
        });
        let mut files = match names {
            Ok(files) => files,
            Err(error) => return self.unreadable(path, &error),
        };
        files.sort();
        for file in files {
            // Kubernetes mounts `app -> ..data/app` and `..data -> ..2026_01_01…/`: the links at
            // the top are the content, what begins with a dot is machinery or an editor's.
            let hidden =
                file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if hidden {
                continue;
            }
            match fs::metadata(&file) {
                Ok(meta) if meta.is_file() => self.file(&file, &meta),
                Ok(_) => {}
                Err(error) => self.unreadable(&file, &error),
            }
        }
    }

    fn file(&mut self, path: &Path, meta: &Metadata) {
        let content = match fs::read(path) {
            Ok(content) => Zeroizing::new(content),
            Err(error) => return self.unreadable(path, &error),
        };
        if let Some(mode) = too_open(meta) {
            self.secrets.warnings.push(format!(
                "{}: mode {mode:04o} lets others read or change it; 0640 or stricter is better",
                path.display()
            ));
        }
        let Ok(text) = std::str::from_utf8(&content) else {
            return self.problem(path, Finding::new(None, "not UTF-8 text"));
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let parsed = if json::looks_like(text) { json::parse(text) } else { toml::parse(text) };
        self.take(path, parsed);
    }

    fn take(&mut self, path: &Path, mut parsed: Parsed) {
        parsed.findings.sort_by_key(|finding| finding.line);
        let nobody = parsed.accounts.is_empty() && parsed.admins.is_empty();
        if nobody && parsed.findings.is_empty() {
            return self.problem(path, Finding::new(None, "holds no user"));
        }
        for finding in parsed.findings {
            self.problem(path, finding);
        }
        for (line, account) in parsed.accounts {
            let place = (path.to_owned(), line);
            if let Some(first) = self.seen.insert(account.username.to_string(), place) {
                self.problem(path, twice("user", &account.username, first, line));
                continue;
            }
            if account.password.is_empty() {
                self.secrets.warnings.push(format!(
                    "{}: user {:?} has an empty password",
                    path.display(),
                    account.username
                ));
            }
            self.secrets.accounts.push(account);
        }
        for (line, admin) in parsed.admins {
            let place = (path.to_owned(), line);
            if let Some(first) = self.admins_seen.insert(admin.username().to_owned(), place) {
                self.problem(path, twice("admin", admin.username(), first, line));
                continue;
            }
            self.secrets.admins.push(admin);
        }
    }

    fn finish(mut self, path: &Path) -> Result<Secrets, SecretsError> {
        if self.secrets.accounts.is_empty() && self.problems.is_empty() {
            let admins = !self.secrets.admins.is_empty();
            let what = if admins { "holds no user" } else { "the folder holds no secrets file" };
            self.problem(path, Finding::new(None, what));
        }
        if self.problems.is_empty() {
            Ok(self.secrets)
        } else {
            Err(SecretsError { problems: self.problems })
        }
    }

    fn problem(&mut self, path: &Path, finding: Finding) {
        let Finding { line, what } = finding;
        self.problems.push(Problem { file: path.to_owned(), line, what });
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.problem(path, Finding::new(None, format!("cannot be read: {error}")));
    }
}

/// `first` is where it was met before.
fn twice(
    what: &str,
    name: &str,
    (file, first): (PathBuf, Option<usize>),
    line: Option<usize>,
) -> Finding {
    let first = first.map(|line| format!(":{line}")).unwrap_or_default();
    Finding::new(line, format!("{what} {name:?} is already in {}{first}", file.display()))
}

/// The mode, when it grants more than 0640 does.
#[cfg(unix)]
fn too_open(meta: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = meta.permissions().mode() & 0o7777;
    (mode & 0o037 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn too_open(_: &Metadata) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::super::{CertificateRule, ClientSecret, Password, Rights};
    use super::*;

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let dir = TempDir::new().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        dir
    }

    fn one(content: &str) -> Result<Secrets, SecretsError> {
        let dir = folder(&[("secrets", content)]);
        load(&dir.path().join("secrets"))
    }

    /// The problems of one file, as `line: what`.
    fn wrong(content: &str) -> Vec<String> {
        let line = |p: &Problem| p.line.map(|l| l.to_string()).unwrap_or_default();
        one(content)
            .unwrap_err()
            .problems
            .iter()
            .map(|p| format!("{}: {}", line(p), p.what))
            .collect()
    }

    #[test]
    fn toml_with_everything() {
        let secrets = one(concat!(
            "[[user]]\nusername = \"app\"\npassword = \"p\"\nprevious_password = \"o\"\n",
            "[[user]]\nusername = \"web\"\npassword = \"w\"\nprevious_password = \"v\"\n",
            "target_username = \"app_b\"\ntarget_password = \"t\"\n"
        ))
        .unwrap();
        assert!(secrets.warnings.is_empty(), "{:?}", secrets.warnings);
        let app = &secrets.accounts[0];
        assert_eq!((&*app.username, &app.password), ("app", &Password::new("p").into()));
        assert_eq!(app.previous_password, Some(Password::new("o")));
        assert_eq!(app.target.password, Password::new("p"));
        assert_eq!(&*app.target.username, "app");
        assert_eq!(app.target.previous, Some(Password::new("o")));
        let web = &secrets.accounts[1];
        assert_eq!(&*web.target.username, "app_b");
        assert_eq!(web.target.password, Password::new("t"));
        assert_eq!(web.target.previous, None);
    }

    #[test]
    fn secrets_manager_json() {
        let object = r#"{"engine":"mysql","host":"h","username":"app","password":"p\"q","dbname":"d","port":3306}"#;
        let accounts = one(object).unwrap().accounts;
        assert_eq!(accounts[0].password, Password::new("p\"q").into());
        let list = format!("\u{feff} [ {object}, {{\"username\":\"b\",\"password\":\"\"}} ]");
        let secrets = one(&list).unwrap();
        assert_eq!(secrets.accounts.len(), 2);
        assert!(secrets.warnings[0].contains("user \"b\" has an empty password"));
    }

    #[test]
    fn a_hash_in_place_of_a_password() {
        let user = "[[user]]\nusername = \"a\"\n";
        let hash = format!("password_hash = \"*{}\"\n", "0A".repeat(20));
        let whole = format!("{user}{hash}target_password = \"t\"\n");
        let account = one(&whole).unwrap().accounts.remove(0);
        assert!(matches!(account.password, ClientSecret::Hash(_)));
        assert_eq!(account.target.password, Password::new("t"));
        let needs = "1: password_hash needs a target_password: nobody can log in with a hash";
        assert_eq!(wrong(&format!("{user}{hash}")), [needs]);
        let both = "1: password and password_hash are both there: keep one";
        assert_eq!(wrong(&format!("{whole}password = \"p\"\n")), [both]);
        let bad = wrong(&format!("{user}password_hash = \"hunter2\"\ntarget_password = \"t\"\n"));
        assert_eq!(bad, ["1: password_hash begins with *, sha256: or ed25519:"]);
        let one_of = wrong(&format!("{user}password_hash = 5\n"));
        assert_eq!(one_of, ["3: password_hash must be a string"]);
    }

    #[test]
    fn a_token_in_place_of_a_password() {
        let of = |lines: &str| format!("[[user]]\nusername = \"a\"\n{lines}");
        let read = |lines: &str| one(&of(lines)).unwrap().accounts.remove(0);
        // What a secret manager holds is the target's, and no client gets by with it.
        let account = read("password = \"p\"\nprevious_password = \"o\"\ntoken = true");
        assert_eq!(account.password, ClientSecret::Token("a".into()));
        assert_eq!(account.previous_password, None);
        let target = [Password::new("p"), Password::new("o")];
        assert_eq!(account.target.passwords(), [&target[0], &target[1]]);
        let account = read("token = true\ntoken_subject = \"s\"\ntarget_password = \"t\"");
        assert_eq!(account.password, ClientSecret::Token("s".into()));
        assert_eq!(account.target.password, Password::new("t"));
        assert_eq!(read("password = \"p\"\ntoken = false").password, Password::new("p").into());
        let json = r#"{"username":"a","password":"p","token":"true"}"#;
        assert_eq!(
            one(json).unwrap().accounts[0].password,
            ClientSecret::Token("a".into()),
            "as Secrets Manager writes it"
        );

        let needs = "1: token needs a password or a target_password: the target takes no token";
        assert_eq!(wrong(&of("token = true")), [needs]);
        let subject = "1: token_subject is for a user with token = true";
        assert_eq!(wrong(&of("password = \"p\"\ntoken_subject = \"s\"")), [subject]);
        let flag = wrong(&of("password = \"p\"\ntoken = \"yes\""));
        assert_eq!(flag, ["4: token must be true or false"]);
        let json = r#"{"username":"a","password":"p","token":1}"#;
        assert_eq!(wrong(json), [": token must be true or false"]);
    }

    #[test]
    fn a_certificate_beside_the_password() {
        let read = |lines: &str| {
            let lines = format!("[[user]]\nusername = \"a\"\npassword = \"p\"\n{lines}");
            one(&lines).map(|mut secrets| secrets.accounts.remove(0).certificate)
        };
        let any = CertificateRule::default();
        assert_eq!(read("require_certificate = true").unwrap(), Some(any));
        assert_eq!(read("require_certificate = false\ncertificate_name = \"\"").unwrap(), None);
        let subject = Some("/CN=app".to_owned());
        let rule = CertificateRule { subject, name: Some("app.internal".to_owned()) };
        let lines = "certificate_subject = \"/CN=app\"\ncertificate_name = \"app.internal\"";
        assert_eq!(read(lines).unwrap(), Some(rule));
        let told = read("require_certificate = 1").unwrap_err().to_string();
        assert!(told.ends_with(":4: require_certificate must be true or false"), "{told}");
    }

    #[test]
    fn empty_optional_values_are_absent() {
        let content =
            r#"{"username":"a","password":"p","previous_password":"","target_username":""}"#;
        let account = one(content).unwrap().accounts.remove(0);
        assert_eq!(account.previous_password, None);
        assert_eq!(&*account.target.username, "a");
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let problems = wrong(concat!(
            "[[user]]\nusername = \"\"\npassword = \"p\"\n",
            "[[user]]\nusername = \"a\"\npasword = \"hunter2\"\n",
            "[[user]]\nusername = \"b\"\npassword = 5\n",
            "[[user]]\nusername = \"c\\u0000d\"\npassword = \"p\"\n",
            "[[user]]\nusername = \"e\"\npassword = \"p\"\n",
            "[[user]]\nusername = \"e\"\npassword = \"p\"\n",
            "[other]\n"
        ));
        let starts = [
            "19: unknown key here",
            "1: username is empty",
            "6: unknown key; a user has username, password",
            "4: password is missing",
            "9: password must be a string",
            "10: a value contains a NUL byte",
            "16: user \"e\" is already in",
        ];
        for start in starts {
            assert!(problems.iter().any(|p| p.starts_with(start)), "{start} not in {problems:#?}");
        }
    }

    #[test]
    fn wrong_shapes() {
        assert_eq!(wrong(""), [": holds no user"]);
        assert_eq!(wrong("# nothing\n"), [": holds no user"]);
        assert_eq!(wrong("[]"), [": holds no user"]);
        assert_eq!(wrong("[user]\nusername='a'"), ["1: user must be a list: write [[user]]"]);
        assert_eq!(wrong("user = ['hunter2']"), ["1: each user must be a table"]);
        assert_eq!(wrong("{\"username\":\n"), ["2: JSON ends too early"]);
        assert_eq!(
            wrong("[{}, {\"username\":1,\"password\":\"p\"}]"),
            [
                ": entry 1: username is missing",
                ": entry 1: password is missing",
                ": entry 2: username must be a string"
            ]
        );
        let missing = load(Path::new("/nonexistent/secrets")).unwrap_err();
        assert!(missing.to_string().starts_with("/nonexistent/secrets: cannot be read"));
    }

    #[test]
    fn those_of_the_console() {
        let user = "[[user]]\nusername='a'\npassword='p'\n";
        let ops = "[[admin]]\nusername='ops'\npassword='o'\n";
        let secrets =
            one(&format!("{user}{ops}rights='write'\n[[admin]]\nusername='a'\npassword='x'"));
        let secrets = secrets.unwrap();
        let admins = secrets.admins.iter().map(|it| (it.username(), it.rights));
        assert_eq!(admins.collect::<Vec<_>>(), [("ops", Rights::Write), ("a", Rights::Read)]);
        assert_eq!(wrong(ops), [": holds no user"]);
        assert_eq!(
            wrong(&format!(
                "{user}{ops}rights='root'\n{ops}\n[[admin]]\nuser='hunter2'\npassword=1"
            )),
            [
                "4: rights are \"read\" or \"write\"",
                "12: username is missing",
                "13: unknown key; an admin has username, password, rights",
                "14: password must be a string",
            ]
        );
        assert_eq!(
            wrong(&format!("{user}[[admin]]\nusername='o'\npassword=''\n")),
            ["4: an admin needs a password"]
        );
        let twice = wrong(&format!("{user}{ops}{ops}"));
        assert!(twice[0].starts_with("7: admin \"ops\" is already in"), "{twice:?}");
    }

    #[test]
    fn kubernetes_folder() {
        let dir = folder(&[(".hidden", "not toml at all")]);
        let data = dir.path().join("..2026_01_01");
        fs::create_dir(&data).unwrap();
        symlink("..2026_01_01", dir.path().join("..data")).unwrap();
        for (name, mode) in [("b", 0o640), ("a", 0o644)] {
            let path = data.join(name);
            fs::write(&path, format!("{{\"username\":\"{name}\",\"password\":\"p\"}}")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            symlink(format!("..data/{name}"), dir.path().join(name)).unwrap();
        }
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        let secrets = load(dir.path()).unwrap();
        let names: Vec<_> = secrets.accounts.iter().map(|a| &*a.username).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(secrets.warnings.len(), 1, "{:?}", secrets.warnings);
        assert!(secrets.warnings[0].contains("/a: mode 0644"));
    }

    #[test]
    fn folder_tells_what_is_wrong_in_every_file() {
        let good = "[[user]]\nusername='a'\npassword='p'\n";
        let dir = folder(&[("a.toml", good), ("b.toml", good), ("c.toml", "x = "), ("d", "{")]);
        let problems = load(dir.path()).unwrap_err().problems;
        let files: Vec<_> = problems.iter().filter_map(|p| p.file.file_name()).collect();
        assert_eq!(files, ["b.toml", "c.toml", "d"]);
        let empty = TempDir::new().unwrap();
        assert!(load(empty.path()).unwrap_err().to_string().contains("holds no secrets file"));
    }

    proptest! {
        /// However a file is broken, what is said about it does not hold the password.
        #[test]
        fn errors_never_repeat_a_value(cut in 0usize..120, junk in "[\\[\\]{}=\"',.#\\\\ \n0-9a-z]{0,3}") {
            for whole in [
                "[[user]]\nusername = \"app\"\npassword = \"HUNTER2\"\ntarget_password = '''HUNTER2'''\n",
                "[{\"username\": \"app\", \"password\": \"HUNTER2\", \"target_password\": \"HUNTER2\"}]",
            ] {
                let cut = cut.min(whole.len());
                for broken in [
                    format!("{}{junk}{}", &whole[..cut], &whole[cut..]),
                    format!("{}{junk}", &whole[..cut]),
                ] {
                    if let Err(error) = one(&broken) {
                        prop_assert!(!format!("{error} {error:?}").contains("HUNTER2"), "{error}");
                    }
                }
            }
        }
    }
}
