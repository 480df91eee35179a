//! `tidegate status`: asks a running proxy for its status and prints it, once or every second.
//!
//! It reads `/status` at `admin.http` and knows nothing that is not there.

mod fetch;
mod table;
mod text;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Builder;

use super::cli::{self, Failure};
use crate::config::{Address, Admin, Source};

/// Which proxy is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    At(Address),
    /// The one that runs with this file.
    File(PathBuf),
    /// Where it is by default, or where a variable puts it.
    Usual,
}

const EACH: Duration = Duration::from_secs(1);

pub fn status(whose: &Whose, watch: bool) -> Result<(), Failure> {
    let address = within_reach(address(whose)?);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if watch {
            return keep_printing(&address).await;
        }
        let status = fetch::fetch(&address).await?;
        Ok(write!(io::stdout(), "{}", text::text(&status))?)
    })
}

/// Until it is interrupted; a proxy that does not answer may come back.
async fn keep_printing(address: &Address) -> Result<(), Failure> {
    let redraws = io::stdout().is_terminal();
    let mut ticks = tokio::time::interval(EACH);
    loop {
        ticks.tick().await;
        let said = match fetch::fetch(address).await {
            Ok(status) => text::text(&status),
            Err(failure) => format!("{}\n", failure.said()),
        };
        let mut out = io::stdout().lock();
        if redraws {
            // Home; each line wiped to its end; then what is left below.
            write!(out, "\x1b[H{}\x1b[J", said.replace('\n', "\x1b[K\n"))?;
        } else {
            writeln!(out, "{said}")?;
        }
        out.flush()?;
    }
}

fn address(whose: &Whose) -> Result<Address, Failure> {
    const VARIABLE: &str = "TIDEGATE__ADMIN__HTTP";
    match whose {
        Whose::At(address) => Ok(address.clone()),
        Whose::File(path) => {
            let settings = Source::File(path.clone()).load(cli::environment())?;
            let closed = || Failure::other(format!("admin.http is closed in {}", path.display()));
            settings.admin.http.ok_or_else(closed)
        }
        Whose::Usual => match cli::environment().find(|(name, _)| name == VARIABLE) {
            Some((_, value)) => {
                value.parse().map_err(|why| Failure::other(format!("{VARIABLE}: {why}")))
            }
            None => {
                Admin::default().http.ok_or_else(|| Failure::other("admin.http has no default"))
            }
        },
    }
}

/// What listens on every address is asked at this machine's own.
fn within_reach(address: Address) -> Address {
    match address {
        Address::Tcp { host, port } if host == "0.0.0.0" => Address::tcp("127.0.0.1", port),
        Address::Tcp { host, port } if host == "::" => Address::tcp("::1", port),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_reached_at_our_own() {
        for (listens, asked) in [
            ("0.0.0.0:6034", "127.0.0.1:6034"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.5:6034", "10.0.0.5:6034"),
        ] {
            assert_eq!(within_reach(listens.parse().unwrap()).to_string(), asked);
        }
    }
}
