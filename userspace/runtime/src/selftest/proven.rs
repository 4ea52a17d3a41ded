//! What selftests have proven: reports are kept for each device, and lowerings that a device passed
//! with are used on it from then on.

use ferrite_compiler::executable::Evidence;
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
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = variable("FERRITE_STATE_DIR") {
        return Some(folder.into());
    }
    let state = variable("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/state")));
    Some(state?.join("ferrite"))
}

fn file(folder: &Path, device: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = device.chars().map(plain).collect();
    folder.join(format!(
        "selftest{}{name}.json",
        if name.starts_with('-') { "" } else { "-" }
    ))
}

/// Keeps a report of all cases. Returns the file; `None` if there is no folder to keep it in.
pub fn keep(device: &str, report: &Value) -> io::Result<Option<PathBuf>> {
    let Some(folder) = folder() else {
        return Ok(None);
    };
    std::fs::create_dir_all(&folder)?;
    let file = file(&folder, device);
    std::fs::write(&file, format!("{report:#}\n"))?;
    Ok(Some(file))
}

/// The weakest evidence that `device` has proven lowerings of. Reports of other versions of this
/// program, or of another machine or kernel, prove nothing.
pub fn evidence(device: &str) -> Evidence {
    let report = folder()
        .and_then(|folder| std::fs::read(file(&folder, device)).ok())
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    report.map_or(Evidence::Silicon, |report| of_report(&report, &host()))
}

/// What one needs to know of the machine to make use of a report.
pub fn host() -> Value {
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

fn of_report(report: &Value, host: &Value) -> Evidence {
    if report["version"] != env!("CARGO_PKG_VERSION") || report["host"] != *host {
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
        !outcomes.is_empty() && outcomes.iter().all(|o| **o == "passed" || **o == "cpu")
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
            "version": env!("CARGO_PKG_VERSION"),
            "host": { "kernel": "1" },
            "evidence": "inferred",
            "cases": cases,
        })
    }

    #[test]
    fn only_what_passed_everywhere_is_proven() {
        let host = json!({ "kernel": "1" });
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
                    ("silicon", "cpu"),
                    ("sibling", "passed"),
                    ("inferred", "passed"),
                ],
                Evidence::Inferred,
            ),
            (&[], Evidence::Silicon),
        ] {
            assert_eq!(of_report(&report(cases), &host), proven, "{cases:?}");
        }
        let cases = [("silicon", "passed"), ("sibling", "passed")];
        let elsewhere = json!({ "kernel": "2" });
        assert_eq!(of_report(&report(&cases), &elsewhere), Evidence::Silicon);
    }

    #[test]
    fn devices_have_files_of_their_own() {
        let name = |device| file(Path::new("/state"), device);
        assert_eq!(
            name("sim:rk3588"),
            Path::new("/state/selftest-sim-rk3588.json")
        );
        assert_eq!(
            name("/dev/accel/accel0"),
            Path::new("/state/selftest-dev-accel-accel0.json")
        );
    }
}
