//! The `tidegate` program: a command line, a log, a runtime, and [`app::run`].

use std::io::{self, Write};
use std::process::ExitCode;

use tidegate::app::cli::{self, Command, Failure};
use tidegate::app::token::Wanted;
use tidegate::app::{self, check, status};
use tidegate::config::{Mistakes, Source};
use tidegate::lifecycle::Lifecycle;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let config = std::env::var_os(cli::CONFIG_VARIABLE);
    cli::end(match cli::parse(std::env::args_os(), config) {
        Err(said) => return cli::explain(&said),
        Ok(Command::Run { source, takeover }) => run(&source, takeover),
        Ok(Command::Check { source, connect }) => check(&source, connect),
        Ok(Command::Status { whose, watch }) => status::status(&whose, watch),
        Ok(Command::Token(wanted)) => token(&wanted),
    })
}

fn run(source: &Source, takeover: bool) -> Result<(), Failure> {
    let settings = source.load(cli::environment())?;
    let start = app::Start { log: Some(app::Log::start(&settings.log)?), takeover };
    app::forbid_cores();
    let workers = app::workers().map_err(|wrong| Mistakes::new(vec![wrong]))?;
    // One worker needs nothing of what several need to share their work.
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(workers).enable_all().build()?;
    let ended = runtime.block_on(app::run(settings, start, Lifecycle::new()));
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
