//! What a command has found: for people, and as JSON.

use crate::error::CliError;
use serde_json::Value;
use std::io::{self, Write};

/// The result of a command.
#[derive(Debug)]
pub struct Report {
    text: String,
    json: Value,
    failure: Option<CliError>,
}

impl Report {
    /// A result in both forms; the text ends with a line break unless it is empty.
    pub fn new(text: String, json: Value) -> Report {
        Report {
            text,
            json,
            failure: None,
        }
    }

    /// The same result, as a failure.
    pub fn failed(self, failure: Option<CliError>) -> Report {
        Report { failure, ..self }
    }

    /// Why the result counts as a failure.
    pub fn failure(&self) -> Option<&CliError> {
        self.failure.as_ref()
    }

    /// Prints one of the forms on standard output.
    pub fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            writeln!(out, "{}", self.json)?;
        } else {
            out.write_all(self.text.as_bytes())?;
        }
        out.flush()
    }
}
