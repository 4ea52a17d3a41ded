//! `ferrite selftest`

use crate::args::SelftestArgs;
use crate::error::CliError;
use crate::report::Report;
use crate::table::table;
use ferrite_compiler::Evidence;
use ferrite_runtime::device::Device;
use ferrite_runtime::selftest::proven::{self, GRADES};
use ferrite_runtime::selftest::{self, Case, CaseError, Compiled, Outcome};
use serde_json::{Value, json};

pub fn run(args: &SelftestArgs) -> Result<Report, CliError> {
    let device = args.device.open()?;
    let device = device.as_deref();
    let wanted = Evidence::from(args.evidence);
    let mut tally = Tally::default();
    let cases = selftest::cases();
    let chosen = |case: &&Case| {
        let only = args.only.as_deref();
        only.is_none_or(|text| case.name.contains(text))
    };
    for case in cases.iter().filter(chosen) {
        for (grade, result) in attempts(case, device, wanted) {
            tally.add(case, grade, result);
        }
    }
    if tally.rows.is_empty() {
        return Err(CliError::Misuse(format!(
            "no case has `{}` in its name",
            args.only.as_deref().unwrap_or_default()
        )));
    }
    let name = device.map_or_else(|| "cpu".to_owned(), Device::name);
    let text = format!(
        "{}{} passed, {} failed, {} left to the CPU on {name}\n",
        table(&tally.rows, &[2, 3]),
        tally.passed,
        tally.failed,
        tally.on_cpu,
    );
    let json = json!({
        "device": name,
        "target": device.map(|d| format!("{:?}", d.target()).to_lowercase()),
        "cores": device.map(Device::cores),
        "subject": device.map(proven::subject),
        "evidence": wanted.name(),
        "allowed_steps": selftest::STEPS,
        "cases": tally.entries,
        "passed": tally.passed,
        "failed": tally.failed,
        "on_cpu": tally.on_cpu,
    });
    if let Some(path) = &args.report {
        std::fs::write(path, format!("{json:#}\n")).map_err(CliError::io(path))?;
    }
    if let (Some(device), None) = (device, &args.only) {
        match proven::keep(device, &json) {
            Ok(Some(file)) => log::info!("kept the report in {}", file.display()),
            Ok(None) => log::warn!("there is no folder to keep the report in"),
            Err(error) => log::warn!("the report cannot be kept: {error}"),
        }
    }
    let failure = (tally.failed > 0).then_some(CliError::Selftest {
        failed: tally.failed,
        all: tally.passed + tally.failed,
    });
    Ok(Report::new(text, json).failed(failure))
}

/// Runs a case with the best proven lowering, and with each other one up to the grade that is wanted.
fn attempts(
    case: &Case,
    device: Option<&dyn Device>,
    wanted: Evidence,
) -> Vec<(Evidence, Result<Outcome, CaseError>)> {
    let mut results = Vec::new();
    let mut before: Option<Compiled> = None;
    for grade in GRADES
        .map(|(grade, _)| grade)
        .into_iter()
        .filter(|&grade| grade <= wanted)
    {
        let compiled = match case.compile(device, grade) {
            Ok(compiled) => compiled,
            Err(error) => {
                results.push((grade, Err(error)));
                continue;
            }
        };
        if before.as_ref().is_some_and(|b| compiled.same_as(b)) {
            continue;
        }
        results.push((grade, compiled.run(device)));
        before = Some(compiled);
    }
    results
}

/// Results so far.
#[derive(Default)]
struct Tally {
    rows: Vec<Vec<String>>,
    entries: Vec<Value>,
    passed: usize,
    failed: usize,
    on_cpu: usize,
}

impl Tally {
    fn add(&mut self, case: &Case, grade: Evidence, result: Result<Outcome, CaseError>) {
        let mut entry = json!({
            "name": case.name,
            "operator": case.operator,
            "types": case.types,
            "evidence": grade.name(),
        });
        let mut row = vec![case.name.clone()];
        let verdict = match &result {
            Err(error) => {
                self.failed += 1;
                entry["error"] = json!(error.to_string());
                row.extend(["failed".to_owned(), String::new(), String::new()]);
                row.push(error.to_string());
                "failed"
            }
            Ok(outcome) => {
                let verdict = match (outcome.passed(), &outcome.reason) {
                    (false, _) => "failed",
                    (true, Some(_)) => "cpu",
                    (true, None) => "passed",
                };
                match verdict {
                    "failed" => self.failed += 1,
                    "cpu" => self.on_cpu += 1,
                    _ => self.passed += 1,
                }
                let how = match (&outcome.lowering, &outcome.reason) {
                    (Some((lowering, grade)), _) => {
                        format!("{lowering} ({})", grade.name())
                    }
                    (None, Some(reason)) => reason.clone(),
                    (None, None) => "nothing to do".to_owned(),
                };
                let exact = outcome.exact as f64 / outcome.elements.max(1) as f64;
                row.extend([
                    verdict.to_owned(),
                    format!("{} off", outcome.max_abs_diff),
                    format!("{:.2} % exact", 100.0 * exact),
                    how,
                ]);
                entry["lowering"] = json!(outcome.lowering.as_ref().map(|(name, _)| name));
                entry["reason"] = json!(outcome.reason);
                entry["elements"] = json!(outcome.elements);
                entry["exact_fraction"] = json!(exact);
                entry["max_abs_diff"] = json!(outcome.max_abs_diff);
                entry["mean_diff"] = json!(outcome.mean_diff);
                verdict
            }
        };
        entry["outcome"] = json!(verdict);
        self.rows.push(row);
        self.entries.push(entry);
    }
}
