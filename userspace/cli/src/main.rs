//! The `ferrite` command.

mod args;
mod arrays;
mod commands;
mod draw;
mod error;
mod graph_svg;
mod labels;
mod model;
mod picture;
mod ranking;
mod report;
mod resample;
mod situation;
mod table;
mod timeline;
mod vision;

use args::{Cli, Command};
use clap::Parser;
use error::CliError;
use ferrite_process::memory::Allocator;
use report::Report;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match cli.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level))
        .format_timestamp(None)
        .init();
    match run(&cli) {
        Ok(Some(report)) => match report.print(cli.json) {
            Ok(()) => match report.failure() {
                None => ExitCode::SUCCESS,
                Some(error) => fail(error, false),
            },
            // Whoever reads has closed the pipe: nothing left to tell.
            Err(_) => ExitCode::FAILURE,
        },
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => fail(&error, cli.json),
    }
}

/// `None`: the command has written its own output.
fn run(cli: &Cli) -> Result<Option<Report>, CliError> {
    Ok(Some(match &cli.command {
        Command::Devices => commands::devices::run(),
        Command::Info(args) => commands::info::run(args)?,
        Command::Run(args) => commands::run::run(args)?,
        Command::Compare(args) => commands::compare::run(args)?,
        Command::Bench(args) => commands::bench::run(args)?,
        Command::Selftest(args) => commands::selftest::run(args)?,
        Command::Compile(args) => commands::compile::run(args)?,
        Command::Disasm(args) => commands::disasm::run(args)?,
        Command::Graph(args) => commands::graph::run(args)?,
        Command::Man { folder } => {
            commands::manual::pages(folder)?;
            return Ok(None);
        }
        Command::Completions { shell } => {
            commands::manual::completions(*shell);
            return Ok(None);
        }
    }))
}

fn fail(error: &CliError, json: bool) -> ExitCode {
    ferrite_process::say(&format!("ferrite: {error}"));
    if json {
        // Where nobody reads, the exit code still tells.
        let _ = writeln!(
            std::io::stdout(),
            "{}",
            json!({ "error": error.to_string() })
        );
    }
    ExitCode::from(error.code())
}
