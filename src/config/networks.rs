//! Lists of networks, such as `["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]`.

use cidr::{IpCidr, IpInet};

use super::section::Section;

/// A list, or one text with commas; empty where the key is absent.
pub(super) fn networks(section: &mut Section<'_>, key: &'static str) -> Vec<IpCidr> {
    let texts = section.texts(key);
    let written = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let (mut networks, mut wrong) = (Vec::new(), Vec::new());
    for text in written.filter(|text| !text.is_empty()) {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(_) => wrong.push(why(text)),
        }
    }
    for why in wrong {
        section.wrong(key, why);
    }
    networks
}

/// As it is read again.
pub(super) fn text(networks: &[IpCidr]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn why(text: &str) -> String {
    match text.parse::<IpInet>() {
        Ok(inside) => {
            format!("{text:?} is an address inside a network: write {}", inside.network())
        }
        Err(_) => format!("{text:?} is not a network: write one such as \"10.0.0.0/8\""),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Endpoint, parse};

    fn read(lines: &str) -> Result<Endpoint, Vec<String>> {
        let text = format!("[[endpoint]]\n{lines}\n[[target]]");
        match parse(Path::new("t.toml"), &text, std::iter::empty()) {
            Ok(mut settings) => Ok(settings.endpoints.remove(0)),
            Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn networks_and_addresses() {
        let read =
            read("allow = [\"10.0.0.0/8\", \"::1\"]\ndeny = \"10.6.6.6, 10.7.0.0/16\"").unwrap();
        let texts = |networks: &[cidr::IpCidr]| super::text(networks);
        assert_eq!(texts(&read.allow), "10.0.0.0/8, ::1");
        assert_eq!(texts(&read.deny), "10.6.6.6, 10.7.0.0/16");
        assert!(read.proxy_protocol_from.is_empty());
    }

    #[test]
    fn what_is_no_network_is_told() {
        assert_eq!(
            read("allow = [\"10.0.0.1/8\", \"10.0.0.0/33\", \"everywhere\", \"10.0.0\"]")
                .unwrap_err(),
            [
                "t.toml:2: endpoint[0].allow: \"10.0.0\" is not a network: write one such as \"10.0.0.0/8\"",
                "t.toml:2: endpoint[0].allow: \"10.0.0.0/33\" is not a network: write one such as \"10.0.0.0/8\"",
                "t.toml:2: endpoint[0].allow: \"10.0.0.1/8\" is an address inside a network: write 10.0.0.0/8",
                "t.toml:2: endpoint[0].allow: \"everywhere\" is not a network: write one such as \"10.0.0.0/8\"",
            ]
        );
        assert_eq!(read("allow = [1]").unwrap_err().len(), 1);
    }
}
