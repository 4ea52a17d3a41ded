//! What selftests have proven: reports are kept for each device, and lowerings that a device passed
//! with are used on it from then on.

use crate::COMPILER_FINGERPRINT;
use crate::device::Device;
use ferrite_compiler::executable::Evidence;
use ferrite_process::files::Folder;
use ferrite_process::variable;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};

/// From the strongest on, with the names in reports.
pub const GRADES: [(Evidence, &str); 3] = [
    (Evidence::Silicon, "silicon"),
    (Evidence::Sibling, "sibling"),
    (Evidence::Inferred, "inferred"),
];

/// Where reports are kept: `$FERRITE_STATE_DIR`, or `ferrite` in the user's folder for state.
fn folder() -> Option<PathBuf> {
    if let Some(folder) = variable("FERRITE_STATE_DIR") {
        return Some(folder.into());
    }
    let state = variable("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/state")));
    Some(state?.join("ferrite"))
}

fn file(device: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = device.chars().map(plain).collect();
    let dash = if name.starts_with('-') { "" } else { "-" };
    format!("selftest{dash}{name}.json")
}

/// Keeps a report of all cases. Returns the file; `None` if there is no folder to keep it in.
///
/// # Errors
/// If the file cannot be written; if other users can write to the folder.
pub fn keep(device: &dyn Device, report: &Value) -> io::Result<Option<PathBuf>> {
    let Some(folder) = folder() else {
        return Ok(None);
    };
    let folder = Folder::make(&folder)?;
    let file = file(&device.name());
    folder.write(&file, &[format!("{report:#}\n").as_bytes()])?;
    Ok(Some(folder.path().join(file)))
}

/// The weakest evidence that `device` has proven lowerings of. Reports of another compiler, machine,
/// kernel, driver or device prove nothing, nor do files that other users can write to.
pub fn evidence(device: &dyn Device) -> Evidence {
    let Some(folder) = folder() else {
        return Evidence::Silicon;
    };
    let file = file(&device.name());
    let bytes = match Folder::open(&folder).and_then(|folder| folder.read(&file)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Evidence::Silicon,
        Err(error) => {
            log::warn!("{}: {error}", folder.join(file).display());
            return Evidence::Silicon;
        }
    };
    let report = serde_json::from_slice::<Value>(&bytes);
    report.map_or(Evidence::Silicon, |report| {
        of_report(&report, &subject(device))
    })
}

/// What a report is about: it proves nothing where any of this differs.
pub fn subject(device: &dyn Device) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "compiler": COMPILER_FINGERPRINT,
        "identity": device.identity(),
        "target": format!("{:?}", device.target()).to_lowercase(),
        "host": host(),
    })
}

/// The machine and its kernel.
fn host() -> Value {
    let read = |path: &str| {
        let text = std::fs::read_to_string(Path::new(path)).ok()?;
        Some(text.trim_end_matches(['\0', '\n']).to_owned())
    };
    json!({
        "architecture": std::env::consts::ARCH,
        "kernel": read("/proc/sys/kernel/osrelease"),
        "board": read("/proc/device-tree/model"),
    })
}

fn of_report(report: &Value, subject: &Value) -> Evidence {
    if report["subject"] != *subject {
        return Evidence::Silicon;
    }
    let Some(cases) = report["cases"].as_array() else {
        return Evidence::Silicon;
    };
    let tried = |grade: &str| GRADES.iter().position(|(_, name)| *name == grade);
    let Some(wanted) = report["evidence"].as_str().and_then(tried) else {
        return Evidence::Silicon;
    };
    let passed = |grade: &str| {
        let of_grade = cases.iter().filter(|case| case["evidence"] == grade);
        let outcomes: Vec<&Value> = of_grade.map(|case| &case["outcome"]).collect();
        // What the device left to the CPU says nothing about the device.
        let all_well = outcomes.iter().all(|o| **o == "passed" || **o == "cpu");
        all_well && outcomes.iter().any(|o| **o == "passed")
    };
    let proven = GRADES[..=wanted]
        .iter()
        .take_while(|(_, name)| passed(name));
    proven.last().map_or(Evidence::Silicon, |(grade, _)| *grade)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(cases: &[(&str, &str)]) -> Value {
        let cases: Vec<Value> = cases
            .iter()
            .map(|(evidence, outcome)| json!({ "evidence": evidence, "outcome": outcome }))
            .collect();
        json!({
            "subject": { "host": "1", "compiler": "a" },
            "evidence": "inferred",
            "cases": cases,
        })
    }

    #[test]
    fn only_what_passed_everywhere_is_proven() {
        let host = json!({ "host": "1", "compiler": "a" });
        for (cases, proven) in [
            (
                &[("silicon", "passed"), ("sibling", "passed")][..],
                Evidence::Sibling,
            ),
            (
                &[("silicon", "passed"), ("sibling", "failed")],
                Evidence::Silicon,
            ),
            (
                &[("silicon", "failed"), ("sibling", "passed")],
                Evidence::Silicon,
            ),
            (
                &[
                    ("silicon", "passed"),
                    ("silicon", "cpu"),
                    ("sibling", "passed"),
                    ("inferred", "passed"),
                ],
                Evidence::Inferred,
            ),
            // Nothing ran on the device.
            (
                &[("silicon", "cpu"), ("sibling", "cpu"), ("inferred", "cpu")],
                Evidence::Silicon,
            ),
            (
                &[
                    ("silicon", "passed"),
                    ("sibling", "cpu"),
                    ("inferred", "passed"),
                ],
                Evidence::Silicon,
            ),
            (&[], Evidence::Silicon),
        ] {
            assert_eq!(of_report(&report(cases), &host), proven, "{cases:?}");
        }
        let cases = [("silicon", "passed"), ("sibling", "passed")];
        for other in [
            json!({ "host": "2", "compiler": "a" }),
            json!({ "host": "1", "compiler": "b" }),
        ] {
            assert_eq!(of_report(&report(&cases), &other), Evidence::Silicon);
        }
    }

    #[test]
    fn devices_have_files_of_their_own() {
        assert_eq!(file("sim:rk3588"), "selftest-sim-rk3588.json");
        let node = file("/dev/accel/accel0");
        assert_eq!(node, "selftest-dev-accel-accel0.json");
    }
}
