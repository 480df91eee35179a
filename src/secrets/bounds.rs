//! What is asked of a user beside the password: from where they come, and how many at once.

use cidr::IpCidr;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Empty: from everywhere.
    pub networks: Vec<IpCidr>,
    /// `None`: as many as the configuration says; 0: no limit.
    pub max_connections: Option<u32>,
    /// To each server, in hand at once; 0 or `None`: no limit.
    pub max_server_connections: Option<u32>,
}

/// A value as either notation has it.
pub(super) enum Written {
    Texts(Vec<String>),
    Number(i64),
    Other,
}

const MOST: u32 = 10_000_000;

impl Bounds {
    pub(super) const KEYS: [&'static str; 3] =
        ["networks", "max_connections", "max_server_connections"];

    /// `key` is one of [`Bounds::KEYS`]; what is wrong is said without the value.
    pub(super) fn set(&mut self, key: &str, value: Written) -> Result<(), &'static str> {
        match key {
            "networks" => self.networks = networks(value)?,
            "max_connections" => self.max_connections = Some(number(value)?),
            _ => self.max_server_connections = Some(number(value)?),
        }
        Ok(())
    }
}

fn networks(value: Written) -> Result<Vec<IpCidr>, &'static str> {
    let Written::Texts(texts) = value else {
        return Err("networks must be a list, such as [\"10.0.0.0/8\"]");
    };
    let texts = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let networks = texts.filter(|text| !text.is_empty()).map(str::parse);
    networks.collect::<Result<_, _>>().map_err(|_| "networks must be such as \"10.0.0.0/8\"")
}

/// Where secrets are pairs of texts, a number is one too.
fn number(value: Written) -> Result<u32, &'static str> {
    let number = match value {
        Written::Number(number) => u32::try_from(number).ok(),
        Written::Texts(texts) => match texts.as_slice() {
            [text] => text.parse().ok(),
            _ => None,
        },
        Written::Other => None,
    };
    number.filter(|number| *number <= MOST).ok_or("a number of connections is from 0 to 10000000")
}

#[cfg(test)]
mod tests {
    use super::super::text::Parsed;
    use super::super::{json, toml};
    use super::*;

    fn bounds(parsed: Parsed) -> Result<Bounds, Vec<String>> {
        let whats = parsed.findings.into_iter().map(|finding| finding.what).collect::<Vec<_>>();
        match parsed.accounts.into_iter().next() {
            Some((_, account)) if whats.is_empty() => Ok(account.bounds),
            _ => Err(whats),
        }
    }

    fn of_toml(lines: &str) -> Result<Bounds, Vec<String>> {
        let user = "[[user]]\nusername = \"app\"\npassword = \"p\"\n";
        bounds(toml::parse(&format!("{user}{lines}")))
    }

    fn of_json(pairs: &str) -> Result<Bounds, Vec<String>> {
        bounds(json::parse(&format!(r#"{{"username": "app", "password": "p"{pairs}}}"#)))
    }

    #[test]
    fn both_notations_say_the_same() {
        let networks = vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        let expected =
            Bounds { networks, max_connections: Some(5), max_server_connections: Some(3) };
        for lines in [
            "networks = [\"10.0.0.0/8\", \"::1\"]\nmax_connections = 5\nmax_server_connections = 3",
            "networks = \"10.0.0.0/8, ::1\"\nmax_connections = \"5\"\nmax_server_connections = 3",
        ] {
            assert_eq!(of_toml(lines).unwrap(), expected);
        }
        for pairs in [
            r#", "networks": ["10.0.0.0/8", "::1"], "max_connections": 5, "max_server_connections": 3"#,
            r#", "networks": "10.0.0.0/8,::1", "max_connections": "5", "max_server_connections": "3""#,
        ] {
            assert_eq!(of_json(pairs).unwrap(), expected);
        }
        assert_eq!(of_toml("").unwrap(), Bounds::default());
        assert_eq!(of_json("").unwrap(), Bounds::default());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        for lines in ["networks = 1", "networks = [1]", "networks = {}"] {
            let told = of_toml(lines).unwrap_err();
            assert_eq!(told, ["networks must be a list, such as [\"10.0.0.0/8\"]"], "{lines}");
        }
        for lines in ["networks = [\"hunter2\"]", "networks = \"10.0.0.1/8\""] {
            let told = of_toml(lines).unwrap_err();
            assert_eq!(told, ["networks must be such as \"10.0.0.0/8\""], "{lines}");
        }
        for value in ["-1", "10000001", "true", "\"many\"", "\"\"", "[\"1\", \"2\"]", "1.5"] {
            let wrong = ["a number of connections is from 0 to 10000000"];
            assert_eq!(of_toml(&format!("max_connections = {value}")).unwrap_err(), wrong);
            assert_eq!(of_json(&format!(", \"max_connections\": {value}")).unwrap_err(), wrong);
        }
    }
}
