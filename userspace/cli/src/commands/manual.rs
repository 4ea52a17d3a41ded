//! Manual pages and shell completions, made from the command line's own description.

use crate::args::Cli;
use crate::error::CliError;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Writes `ferrite.1` and a page for each command into `folder`.
pub fn pages(folder: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(CliError::io(folder))?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(CliError::io(folder))
}

/// Prints a completion script.
pub fn completions(shell: Shell) {
    clap_complete::generate(
        shell,
        &mut Cli::command(),
        "ferrite",
        &mut std::io::stdout(),
    );
}
