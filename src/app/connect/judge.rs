//! What follows from the answers of the targets. Pure.
//!
//! A target serves when an account can log in there and it does what its role says; whether there
//! is a primary is decided as the running proxy decides it.

use std::time::Duration;

use super::ask::Answers;
use super::finding::{Finding, Level};
use super::{Try, Visit, grants};
use crate::app::check::Told;
use crate::cluster::{Lag, Observation, Topology, elect};
use crate::config::{Access, Address, Role, Settings};

/// From this bound on a connection is kept for KILL.
const SIDE_FROM: u32 = 4;

pub(super) fn judge(settings: &Settings, visits: &[Visit<'_>]) -> Told {
    let mut lines = Vec::new();
    let mut failed = 0_usize;
    for visit in visits {
        let findings = of_target(settings, visit);
        failed += usize::from(findings.iter().any(|it| it.level == Level::Failed));
        lines.push(format!("\n{} ({})", visit.target.name, visit.target.address));
        lines.extend(findings.iter().map(Finding::to_string));
    }
    let together = of_all(settings, visits);
    let unfit = together.iter().any(|it| it.level == Level::Failed);
    if !together.is_empty() {
        lines.push("\nall targets together".to_owned());
        lines.extend(together.iter().map(Finding::to_string));
    }
    let unfit = match failed {
        0 => unfit.then(|| "not every endpoint is served".to_owned()),
        1 => Some(format!("1 of {} does not serve", counted(visits.len()))),
        failed => Some(format!("{failed} of {} do not serve", counted(visits.len()))),
    };
    Told { text: lines.join("\n"), unfit }
}

fn counted(targets: usize) -> String {
    format!("{targets} target{}", if targets == 1 { "" } else { "s" })
}

fn of_target(settings: &Settings, visit: &Visit<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let several = settings.targets.len() > 1;
    findings.extend(visit.tries.iter().map(login));
    let Some(answers) = visit.answers() else { return findings };
    findings.push(version(answers));
    findings.push(role(settings, visit, answers));
    findings.push(tls(settings, visit, answers));
    findings.push(Finding::ok(
        "trackers",
        format!("the server reports changes of {} variables", answers.tracked),
    ));
    findings.extend(connections(settings, visit, answers));
    findings.push(wait_timeout(settings, answers));
    if several {
        findings.push(replication(answers));
        findings.push(switchover(settings, answers));
    }
    for it in &visit.tries {
        if let Ok(answers) = &it.outcome {
            // Who moves the primary must be able to write where nobody should.
            let moves = it.login.is_for(&settings.failover.username);
            findings.push(privileges(it, answers, several && !moves));
        }
    }
    findings
}

fn login(it: &Try<'_>) -> Finding {
    let user = &it.login.target.username;
    let others: Vec<&str> =
        it.login.users.iter().map(|name| &**name).filter(|name| name != &&**user).collect();
    let whom = if others.is_empty() {
        user.to_string()
    } else {
        format!("{user}, for {}", others.join(", "))
    };
    match &it.outcome {
        Err(error) => Finding::failed("login", format!("{whom}: {error}")),
        Ok(_) if it.by_previous => {
            Finding::warning("login", format!("{whom}: the server still has the previous password"))
        }
        Ok(_) => Finding::ok("login", whom),
    }
}

fn version(answers: &Answers) -> Finding {
    let version = answers.version.strip_prefix("5.5.5-").unwrap_or(&answers.version);
    let flavor = if answers.mariadb { "MariaDB" } else { "MySQL" };
    Finding::ok("version", format!("{flavor} {version}"))
}

fn role(settings: &Settings, visit: &Visit<'_>, answers: &Answers) -> Finding {
    let alone = settings.targets.len() == 1;
    let writes = settings.endpoints.iter().any(|it| it.access == Access::ReadWrite);
    let is = if answers.seen.read_only { "read-only" } else { "takes writes" };
    let is = match answers.seen.lag {
        Lag::Seconds(seconds) => format!("{is}, a replica {seconds} s behind"),
        Lag::Stopped if answers.seen.read_only => format!("{is}, and replicates from nobody"),
        Lag::Stopped | Lag::Unknown => is.to_owned(),
    };
    match (visit.target.role, answers.seen.read_only) {
        (Role::Primary, true) => {
            Finding::failed("role", format!("{is}, and target.role says \"primary\""))
        }
        (Role::Replica, false) => Finding::warning(
            "role",
            format!("{is}, and target.role says \"replica\": make it read-only"),
        ),
        (_, true) if alone && writes => {
            Finding::warning("role", format!("{is}: what clients write will be refused"))
        }
        _ => Finding::ok("role", is),
    }
}

fn tls(settings: &Settings, visit: &Visit<'_>, answers: &Answers) -> Finding {
    match answers.tls {
        Some((version, cipher)) if settings.tls_target.mode.verifies() => {
            Finding::ok("TLS", format!("{version}, {cipher}, verified"))
        }
        Some((version, cipher)) => Finding::ok("TLS", format!("{version}, {cipher}")),
        None if answers.secure => Finding::ok("TLS", "none, and none needed on a unix socket"),
        None if is_loopback(&visit.target.address) => Finding::ok("TLS", "none, on loopback"),
        None => Finding::warning("TLS", "none: what is said can be listened to"),
    }
}

fn is_loopback(address: &Address) -> bool {
    let host = address.host().unwrap_or_default();
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn connections(settings: &Settings, visit: &Visit<'_>, answers: &Answers) -> Vec<Finding> {
    let most = answers.max_connections;
    let bound = settings.pool.max_connections.of(most);
    let ours: u32 = (visit.tries.iter().filter_map(|it| it.outcome.as_ref().ok()))
        .map(|answers| answers.own.saturating_sub(1))
        .sum();
    let others = answers.connected.saturating_sub(1).saturating_sub(ours);
    let left = most.saturating_sub(others);
    let said = format!(
        "pool.max_connections is {bound} of the server's {most}, of which others have {others} now"
    );
    let mut findings = vec![match left / bound {
        0 => Finding::warning("connections", format!("{said}: {left} are left")),
        1 => Finding::ok("connections", format!("{said}: enough for one Tidegate")),
        many => Finding::ok("connections", format!("{said}: enough for {many} Tidegates")),
    }];
    if bound < SIDE_FROM {
        let text = format!("of less than {SIDE_FROM} none is kept for KILL and client.max_query");
        findings.push(Finding::warning("connections", text));
    }
    for it in &visit.tries {
        let limit = it.outcome.as_ref().map_or(0, |answers| answers.max_user_connections);
        if limit > 0 && limit < bound {
            let user = &it.login.target.username;
            let text = format!("{user} may have {limit} at once (max_user_connections)");
            findings.push(Finding::warning("connections", text));
        }
    }
    findings
}

fn wait_timeout(settings: &Settings, answers: &Answers) -> Finding {
    let (server, ours) = (answers.wait_timeout, settings.pool.idle_timeout);
    let seconds = server.as_secs();
    if server <= ours {
        let text = format!(
            "{seconds} s: the server closes idle connections before pool.idle_timeout ({} s) does",
            ours.as_secs()
        );
        return Finding::warning("wait_timeout", text);
    }
    match settings.client.idle_in_transaction_timeout.unwrap_or(Duration::MAX) {
        longer if longer >= server => Finding::warning(
            "wait_timeout",
            format!(
                "{seconds} s: the server ends an idle transaction before \
                 client.idle_in_transaction_timeout does"
            ),
        ),
        _ => Finding::ok("wait_timeout", format!("{seconds} s")),
    }
}

fn replication(answers: &Answers) -> Finding {
    let privilege = if answers.mariadb { "REPLICA MONITOR" } else { "REPLICATION CLIENT" };
    match &answers.untold {
        None => Finding::ok("probe", "sees how far behind the server is, and behind whom"),
        Some(why) => Finding::warning(
            "probe",
            format!("cannot see how far behind the server is: grant {privilege} ({why})"),
        ),
    }
}

/// Whether SWITCHOVER can work is a warning where somebody was named for it.
fn switchover(settings: &Settings, answers: &Answers) -> Finding {
    let missing = grants::missing_to_move(&answers.privileges, answers.mariadb).join(", ");
    if missing.is_empty() {
        return Finding::ok("switchover", "the account may move the primary");
    }
    let named = &settings.failover.username;
    if named.is_empty() {
        return Finding::ok("switchover", format!("not possible: it takes {missing}"));
    }
    Finding::warning("switchover", format!("{named} may not move the primary: grant {missing}"))
}

fn privileges(it: &Try<'_>, answers: &Answers, several: bool) -> Finding {
    let user = &it.login.target.username;
    if let Some(name) =
        grants::pass_read_only(&answers.privileges, answers.mariadb).filter(|_| several)
    {
        let advice =
            if answers.mariadb { "revoke it" } else { "use super_read_only, or revoke it" };
        let text = format!("{user} has {name}, and so may write where read_only is on: {advice}");
        return Finding::warning("privileges", text);
    }
    let said = match answers.privileges.as_slice() {
        [] => "none over the whole server, and none is needed".to_owned(),
        few if few.len() <= 8 => few.join(", "),
        many => format!("{} of them over the whole server", many.len()),
    };
    Finding::ok("privileges", format!("{user}: {said}"))
}

fn of_all(settings: &Settings, visits: &[Visit<'_>]) -> Vec<Finding> {
    if settings.targets.len() < 2 {
        return Vec::new();
    }
    let topology = topology(settings, visits);
    let names = |places: &[usize]| {
        let named = places.iter().filter_map(|at| settings.targets.get(*at));
        named.map(|target| target.name.as_str()).collect::<Vec<_>>()
    };
    let mut findings = vec![match topology.primary {
        Some(at) => Finding::ok("primary", names(&[at]).concat()),
        None if topology.rivals.is_empty() => Finding::failed("primary", "none takes writes"),
        None => Finding::failed(
            "primary",
            format!(
                "{} take writes, and which is the primary is not known",
                names(&topology.rivals).join(" and ")
            ),
        ),
    }];
    if settings.endpoints.iter().any(|it| it.access == Access::ReadOnly) {
        findings.push(match (topology.replicas.as_slice(), settings.failover.read_only_fallback) {
            ([], true) => Finding::warning("reads", "no fit replica: they go to the primary"),
            ([], false) => Finding::failed("reads", "no fit replica"),
            (replicas, _) => Finding::ok("reads", names(replicas).join(", ")),
        });
    }
    findings
}

/// As the proxy would find it at its start.
fn topology(settings: &Settings, visits: &[Visit<'_>]) -> Topology {
    let observed = visits.iter().map(|visit| {
        let mut it = Observation { role: visit.target.role, ..Observation::default() };
        match visit.answers() {
            Some(answers) => it.saw(answers.seen.clone(), settings.failover.max_replica_lag),
            None => it.missed(1),
        }
        it
    });
    elect(&Topology::default(), &observed.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::Login;
    use super::*;
    use crate::backend::BackendError;
    use crate::cluster::Sighting;
    use crate::config::Source;
    use crate::secrets::{Account, Password};
    use crate::wire::ErrPacket;

    fn settings(more: &[(&str, &str)]) -> Settings {
        let all = [
            ("TIDEGATE__ENDPOINT__0__LISTEN", "127.0.0.1:6033"),
            ("TIDEGATE__TARGET__0__NAME", "first"),
            ("TIDEGATE__TARGET__0__ADDRESS", "10.0.0.5:3306"),
            ("TIDEGATE__SECRETS__PATH", "s.toml"),
        ];
        let all = all.iter().chain(more).map(|(name, value)| (name.to_string(), value.to_string()));
        Source::Environment.load(all).unwrap()
    }

    const SECOND: [(&str, &str); 2] =
        [("TIDEGATE__TARGET__1__NAME", "second"), ("TIDEGATE__TARGET__1__ADDRESS", "db:3306")];

    fn app() -> Login {
        let account = Account::new("app".to_owned(), Password::new("x"), None, None, None);
        Login { users: vec![account.username], target: account.target }
    }

    fn well() -> Answers {
        Answers {
            version: "9.7.0".to_owned(),
            tls: Some(("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
            secure: true,
            tracked: 245,
            max_connections: 151,
            connected: 13,
            own: 3,
            wait_timeout: Duration::from_secs(28_800),
            ..Answers::default()
        }
    }

    fn read_only(lag: Lag) -> Answers {
        Answers { seen: Sighting { read_only: true, lag, ..Sighting::default() }, ..well() }
    }

    fn told(settings: &Settings, outcomes: Vec<Result<Answers, BackendError>>) -> Told {
        let login = app();
        let visits = settings.targets.iter().zip(outcomes).map(|(target, outcome)| Visit {
            target,
            watcher: &settings.failover.username,
            tries: vec![Try { login: &login, outcome, by_previous: false }],
        });
        judge(settings, &visits.collect::<Vec<_>>())
    }

    #[track_caller]
    fn says(told: &Told, line: &str) {
        assert!(told.text.lines().any(|said| said == line), "{line}\n{}", told.text);
    }

    #[test]
    fn a_target_that_is_well() {
        let told = told(&settings(&[]), vec![Ok(well())]);
        assert_eq!(
            told.text,
            "\nfirst (10.0.0.5:3306)\n  \
             ok       login        app\n  \
             ok       version      MySQL 9.7.0\n  \
             ok       role         takes writes\n  \
             ok       TLS          TLSv1.3, TLS_AES_256_GCM_SHA384\n  \
             ok       trackers     the server reports changes of 245 variables\n  \
             ok       connections  pool.max_connections is 135 of the server's 151, of which others \
             have 10 now: enough for one Tidegate\n  \
             ok       wait_timeout 28800 s\n  \
             ok       privileges   app: none over the whole server, and none is needed"
        );
        assert_eq!(told.unfit, None);
    }

    #[test]
    fn what_is_too_little_is_a_warning() {
        let few = settings(&[("TIDEGATE__POOL__MAX_CONNECTIONS", "60")]);
        let answers = Answers { connected: 103, own: 11, ..well() };
        let rest = "pool.max_connections is 60 of the server's 151, of which others have 92 now";
        let many = told(&few, vec![Ok(answers)]);
        says(&many, &format!("  warning  connections  {rest}: 59 are left"));
        let alone = told(&few, vec![Ok(well())]);
        assert!(alone.text.contains("enough for 2 Tidegates"), "{}", alone.text);

        let answers = Answers {
            tls: None,
            secure: false,
            max_user_connections: 20,
            wait_timeout: Duration::from_secs(60),
            ..well()
        };
        let told = told(&few, vec![Ok(answers)]);
        says(&told, "  warning  TLS          none: what is said can be listened to");
        says(&told, "  warning  connections  app may have 20 at once (max_user_connections)");
        assert!(told.text.contains("warning  wait_timeout 60 s: "), "{}", told.text);
        assert_eq!(told.unfit, None);
    }

    #[test]
    fn a_login_in_vain() {
        let refused = || {
            let packet =
                ErrPacket { code: 1045, message: "Access denied".to_owned(), state: *b"28000" };
            Err(BackendError::Refused(packet))
        };
        let one = told(&settings(&[]), vec![refused()]);
        assert_eq!(
            one.text,
            "\nfirst (10.0.0.5:3306)\n  failed   login        app: Access denied (1045)"
        );
        assert_eq!(one.unfit.as_deref(), Some("1 of 1 target does not serve"));
        let both = told(&settings(&SECOND), vec![refused(), refused()]);
        assert_eq!(both.unfit.as_deref(), Some("2 of 2 targets do not serve"));
    }

    #[test]
    fn the_primary_is_the_one_that_the_proxy_would_take() {
        let reads = [
            ("TIDEGATE__ENDPOINT__1__NAME", "reads"),
            ("TIDEGATE__ENDPOINT__1__LISTEN", "127.0.0.1:6040"),
            ("TIDEGATE__ENDPOINT__1__ACCESS", "read-only"),
        ];
        let settings = settings(&[&SECOND[..], &reads].concat());
        let fine = told(&settings, vec![Ok(well()), Ok(read_only(Lag::Seconds(2)))]);
        says(&fine, "  ok       role         read-only, a replica 2 s behind");
        says(&fine, "  ok       primary      first");
        says(&fine, "  ok       reads        second");
        assert_eq!(fine.unfit, None);
        let late = told(&settings, vec![Ok(well()), Ok(read_only(Lag::Stopped))]);
        says(&late, "  warning  reads        no fit replica: they go to the primary");

        let rivals = told(&settings, vec![Ok(well()), Ok(well())]);
        says(
            &rivals,
            "  failed   primary      first and second take writes, and which is the primary is not \
             known",
        );
        assert_eq!(rivals.unfit.as_deref(), Some("not every endpoint is served"));
        let none = told(&settings, vec![Ok(read_only(Lag::Unknown)), Ok(read_only(Lag::Unknown))]);
        says(&none, "  failed   primary      none takes writes");
    }

    #[test]
    fn who_passes_read_only_is_told_where_it_matters() {
        let root = || Answers {
            privileges: vec!["PROCESS".to_owned(), "CONNECTION_ADMIN".to_owned()],
            untold: Some("denied".to_owned()),
            ..well()
        };
        let alone = told(&settings(&[]), vec![Ok(root())]);
        says(&alone, "  ok       privileges   app: PROCESS, CONNECTION_ADMIN");
        let both = told(&settings(&SECOND), vec![Ok(root()), Ok(read_only(Lag::Unknown))]);
        says(
            &both,
            "  warning  privileges   app has CONNECTION_ADMIN, and so may write where read_only is \
             on: use super_read_only, or revoke it",
        );
        says(
            &both,
            "  ok       switchover   not possible: it takes REPLICATION CLIENT, \
             SYSTEM_VARIABLES_ADMIN, REPLICATION_SLAVE_ADMIN, RELOAD",
        );
        let named = settings(&[&SECOND[..], &[("TIDEGATE__FAILOVER__USERNAME", "app")]].concat());
        let named = told(&named, vec![Ok(root()), Ok(read_only(Lag::Unknown))]);
        assert!(named.text.contains("warning  switchover   app may not move"), "{}", named.text);
        assert!(!named.text.contains("and so may write"), "{}", named.text);
        says(
            &both,
            "  warning  probe        cannot see how far behind the server is: grant REPLICATION \
             CLIENT (denied)",
        );
    }

    #[test]
    fn a_role_that_is_not_kept() {
        let primary = settings(&[("TIDEGATE__TARGET__0__ROLE", "primary")]);
        let told = told(&primary, vec![Ok(read_only(Lag::Unknown))]);
        says(&told, "  failed   role         read-only, and target.role says \"primary\"");
        assert_eq!(told.unfit.as_deref(), Some("1 of 1 target does not serve"));
    }
}
