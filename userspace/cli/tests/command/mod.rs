//! Running the command and reading what it prints. Each test uses a part of this.
#![allow(dead_code)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the demonstration.
pub fn digits(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/digits")
        .join(name)
}

/// Runs the command.
pub fn ferrite(args: &[&str]) -> Output {
    // Without what selftests of the user's have proven.
    let state = tempfile::tempdir().expect("a folder");
    ferrite_with_state(state.path(), args)
}

/// Runs the command with a folder of its own for what it remembers.
pub fn ferrite_with_state(state: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferrite"))
        .env("FERRITE_STATE_DIR", state)
        .args(args)
        .output()
        .expect("the command starts")
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

/// Standard output as the one JSON object that it must be.
pub fn json(output: &Output) -> Value {
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let value: Value = serde_json::from_str(&stdout).expect("JSON");
    assert!(value.is_object(), "{value}");
    value
}

/// Exit code and message of a command that fails; with `--json` the message is in both streams.
pub fn failure(args: &[&str]) -> (i32, String) {
    let output = ferrite(args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    if args.contains(&"--json") && !output.stdout.is_empty() {
        let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(value["error"].is_string(), "{value}");
    }
    (output.status.code().expect("no signal"), message)
}
