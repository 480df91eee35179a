//! The privileges of an account over the whole server, read from SHOW GRANTS.
//!
//! <https://dev.mysql.com/doc/refman/9.7/en/show-grants.html>

use crate::backend::Rows;

/// Each once, in capitals, in the server's order; those of a role that the login enters are among
/// them where the server lists them.
pub(super) fn of_the_server(rows: &Rows) -> Vec<String> {
    let lines = rows.iter().filter_map(|row| row.first()?.as_deref());
    let mut privileges: Vec<String> = Vec::new();
    for line in lines {
        let granted = line.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON *.* TO "));
        let Some((names, _)) = granted else { continue };
        for name in names.split(',').map(|name| name.trim().to_ascii_uppercase()) {
            if name != "USAGE" && !privileges.contains(&name) {
                privileges.push(name);
            }
        }
    }
    privileges
}

/// Those that let an account write where `read_only` is on.
pub(super) fn pass_read_only(privileges: &[String], mariadb: bool) -> Option<&str> {
    let passes: &[&str] = if mariadb {
        &["READ_ONLY ADMIN", "READ ONLY ADMIN", "ALL PRIVILEGES"]
    } else {
        &["CONNECTION_ADMIN", "SUPER", "ALL PRIVILEGES"]
    };
    privileges.iter().map(String::as_str).find(|name| passes.contains(name))
}

/// What SWITCHOVER takes and is not there, by the names to grant it by.
pub(super) fn missing_to_move(privileges: &[String], mariadb: bool) -> Vec<&'static str> {
    let has = |names: &[&str]| privileges.iter().any(|it| names.contains(&it.as_str()));
    // Each with the other names it goes by, or is part of.
    let needed: &[(&str, &[&str])] = if mariadb {
        &[
            ("REPLICA MONITOR", &["SLAVE MONITOR"]),
            ("READ_ONLY ADMIN", &["READ ONLY ADMIN"]),
            ("REPLICATION SLAVE ADMIN", &["REPLICATION REPLICA ADMIN"]),
            ("RELOAD", &[]),
        ]
    } else {
        &[
            ("REPLICATION CLIENT", &["SUPER"]),
            ("SYSTEM_VARIABLES_ADMIN", &["SUPER"]),
            ("REPLICATION_SLAVE_ADMIN", &["SUPER"]),
            ("RELOAD", &[]),
        ]
    };
    let missing = needed
        .iter()
        .filter(|(name, others)| !has(&["ALL PRIVILEGES"]) && !has(&[name]) && !has(others));
    missing.map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> Rows {
        lines.iter().map(|line| vec![Some((*line).to_owned())]).collect()
    }

    #[test]
    fn what_a_switchover_takes() {
        let missing = |names: &[&str], mariadb| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            missing_to_move(&names, mariadb).join(", ")
        };
        let all =
            ["REPLICATION CLIENT", "SYSTEM_VARIABLES_ADMIN", "REPLICATION_SLAVE_ADMIN", "RELOAD"];
        assert_eq!(missing(&[], false), all.join(", "));
        assert_eq!(missing(&all, false), "");
        assert_eq!(missing(&["SUPER"], false), "RELOAD");
        let shown = ["RELOAD", "SLAVE MONITOR", "REPLICATION SLAVE ADMIN"];
        assert_eq!(missing(&shown, true), "READ_ONLY ADMIN");
        assert_eq!(missing(&["ALL PRIVILEGES"], true), "");
    }

    #[test]
    fn privileges_over_the_whole_server() {
        let said = rows(&[
            "GRANT PROCESS, REPLICATION CLIENT ON *.* TO `app`@`%`",
            "GRANT CONNECTION_ADMIN,PROCESS ON *.* TO `app`@`%` WITH GRANT OPTION",
            "GRANT ALL PRIVILEGES ON `app`.* TO `app`@`%`",
            "GRANT `reader`@`%` TO `app`@`%`",
        ]);
        let privileges = of_the_server(&said);
        assert_eq!(privileges, ["PROCESS", "REPLICATION CLIENT", "CONNECTION_ADMIN"]);
        assert_eq!(pass_read_only(&privileges, false), Some("CONNECTION_ADMIN"));
        assert_eq!(pass_read_only(&privileges, true), None);
        let said =
            rows(&["GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*81F5E21E35407D8'"]);
        assert_eq!(of_the_server(&said), [""; 0]);
    }
}
