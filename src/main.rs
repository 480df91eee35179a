//! The `tidegate` program: a command line, a log, a runtime, and [`app::run`].

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use tidegate::app::cli::{self, Command, Failure};
use tidegate::app::token::Wanted;
use tidegate::app::{self, check, status};
use tidegate::config::{Choice, Log, LogFormat, Mistakes, Source};
use tidegate::lifecycle::Lifecycle;
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let config = std::env::var_os(cli::CONFIG_VARIABLE);
    cli::end(match cli::parse(std::env::args_os(), config) {
        Err(said) => return cli::explain(&said),
        Ok(Command::Run(source)) => run(&source),
        Ok(Command::Check { source, connect }) => check(&source, connect),
        Ok(Command::Status { whose, watch }) => status::status(&whose, watch),
        Ok(Command::Token(wanted)) => token(&wanted),
    })
}

fn run(source: &Source) -> Result<(), Failure> {
    let settings = source.load(cli::environment())?;
    log(&settings.log)?;
    app::forbid_cores();
    let workers = app::workers().map_err(|wrong| Mistakes::new(vec![wrong]))?;
    // One worker needs nothing of what several need to share their work.
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(workers).enable_all().build()?;
    let ended = runtime.block_on(app::run(settings, Lifecycle::new()));
    // A name that is still being resolved must not keep the process.
    runtime.shutdown_background();
    ended
}

fn check(source: &Source, connect: bool) -> Result<(), Failure> {
    let connect = connect.then_some(app::connect);
    let told = check::check(source, cli::environment(), app::files, connect)?;
    writeln!(io::stdout(), "{}", told.text)?;
    told.unfit.map_or(Ok(()), |why| Err(Failure::other(why)))
}

fn token(wanted: &Wanted) -> Result<(), Failure> {
    let token = app::token::token(wanted, cli::environment())?;
    writeln!(io::stdout(), "{token}")?;
    Ok(())
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
