//! Tests of NPU kernel drivers, run on the board: `driver-tests list`, `driver-tests run [CASE...]`,
//! `driver-tests bench [RUNS]`, `driver-tests campaign [FAULTS [SEED [KIND...]]]`, `driver-tests
//! allocations`, `driver-tests fuzz [IOCTLS [SEED [PROCESSES]]]`.
//!
//! Each case prints one JSON object. The same program runs on Ferrite's driver and on mainline's.

mod bench;
mod campaign;
mod cases;
mod device;
mod fuzz;
mod task;

use std::process::ExitCode;

/// Cases that run only when they are named: they need a board with options of their own.
const ON_REQUEST: &[&str] = &["pool_alone", "two_gigabytes", "attach_fails"];

/// Complaints of the kernel so far.
fn complaints() -> usize {
    let mut buffer = vec![0u8; 1 << 20];
    // SAFETY: The buffer is valid for writes of its length. 3 = read all of the log.
    let len = unsafe { libc::klogctl(3, buffer.as_mut_ptr().cast(), buffer.len() as i32) };
    let log = String::from_utf8_lossy(&buffer[..usize::try_from(len).unwrap_or(0)]).into_owned();
    [
        "WARNING:",
        "BUG:",
        "KASAN:",
        "Oops",
        "possible circular",
        "DMA-API:",
    ]
    .iter()
    .map(|sign| log.matches(sign).count())
    .sum()
}

fn run(names: &[String]) -> ExitCode {
    let mut failed = 0;
    for case in cases::all() {
        let wanted = if names.is_empty() {
            !ON_REQUEST.contains(&case.name)
        } else {
            names.iter().any(|name| name == case.name)
        };
        if !wanted {
            continue;
        }
        let before = complaints();
        let mut result = (case.run)();
        let splats = complaints() - before;
        if result.is_ok() && splats > 0 {
            result = Err(cases::Fail(format!("the kernel complained {splats} times")));
        }
        let (verdict, why) = match &result {
            Ok(()) => ("pass", String::new()),
            Err(why) => ("fail", why.to_string()),
        };
        failed += u32::from(result.is_err());
        println!(
            "{{\"case\": \"{}\", \"result\": \"{verdict}\", \"why\": {why:?}, \"expects\": {:?}}}",
            case.name, case.expects
        );
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| {
        arguments
            .get(at)
            .and_then(|word| word.parse().ok())
            .unwrap_or(default)
    };
    match arguments.first().map(String::as_str) {
        Some("list") => {
            for case in cases::all() {
                println!("{}: {}", case.name, case.expects);
            }
            ExitCode::SUCCESS
        }
        Some("run") => run(&arguments[1..]),
        Some("bench") => match bench::run(number(1, 20) as usize) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        },
        Some("campaign") => campaign::run(
            number(1, 100),
            number(2, 1),
            arguments.get(3..).unwrap_or_default(),
        ),
        Some("allocations") => campaign::run_allocations(),
        Some("fuzz") => fuzz::run(number(1, 10_000), number(2, 1), number(3, 4)),
        _ => {
            eprintln!(
                "usage: driver-tests list | run [CASE...] | bench [RUNS] | campaign [FAULTS [SEED [KIND...]]] | allocations | fuzz [IOCTLS [SEED [PROCESSES]]]"
            );
            ExitCode::from(2)
        }
    }
}
