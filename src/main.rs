//! The `tidegate` program: a command line, a log, a runtime, and [`app::run`].

use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::process::ExitCode;

use tidegate::app::cli::{self, Command, Failure};
use tidegate::app::{self, check};
use tidegate::config::{Choice, Log, LogFormat, Source};
use tidegate::lifecycle::Lifecycle;
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let config = std::env::var_os(cli::CONFIG_VARIABLE);
    cli::end(match cli::parse(std::env::args_os(), config) {
        Err(said) => return cli::explain(&said),
        Ok(Command::Run(source)) => run(&source),
        Ok(Command::Check { source, connect }) => check(&source, connect),
    })
}

fn run(source: &Source) -> Result<(), Failure> {
    let settings = source.load(cli::environment())?;
    log(&settings.log)?;
    let runtime = Builder::new_multi_thread().worker_threads(workers()?).enable_all().build()?;
    let ended = runtime.block_on(app::run(settings, Lifecycle::new()));
    // A name that is still being resolved must not keep the process.
    runtime.shutdown_background();
    ended
}

/// As many as tokio's own variable says. Else one for two cores: the proxy seldom has a machine for
/// itself, and a worker more that mostly finds nothing to do costs everybody time.
fn workers() -> Result<usize, Failure> {
    const VARIABLE: &str = "TOKIO_WORKER_THREADS";
    let Some(said) = std::env::var_os(VARIABLE) else {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        return Ok((cores / 2).max(1));
    };
    let number = said.to_str().and_then(|said| said.parse::<NonZero<usize>>().ok());
    let wrong = || format!("{VARIABLE} is {}, not a number of threads", said.display());
    number.map(NonZero::get).ok_or_else(|| Failure::other(wrong()))
}

fn check(source: &Source, connect: bool) -> Result<(), Failure> {
    let connect = connect.then_some(app::connect);
    let said = check::check(source, cli::environment(), app::files, connect)?;
    Ok(writeln!(io::stdout(), "{said}")?)
}

/// To standard error; `RUST_LOG`, where set, wins over the configured level.
fn log(log: &Log) -> Result<(), Failure> {
    let level = log.level.as_str();
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(filter).map_err(Failure::other)?,
        _ => EnvFilter::try_new(level).map_err(Failure::other)?,
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match log.format {
        LogFormat::Text => subscriber.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(Failure::Other)
}
