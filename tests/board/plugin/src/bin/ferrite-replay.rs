//! `ferrite-replay TRACE...`: runs the jobs of traces again on the simulator, and says which went
//! otherwise than recorded.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use ferrite_sim::trace::{Replayer, TraceReader, Work};

fn main() -> ExitCode {
    let mut good = true;
    let mut traces = 0;
    for path in std::env::args_os().skip(1) {
        traces += 1;
        match replay(Path::new(&path)) {
            Ok(agrees) => good &= agrees,
            Err(error) => {
                eprintln!("{}: {error}", Path::new(&path).display());
                good = false;
            }
        }
    }
    if traces == 0 {
        eprintln!("usage: ferrite-replay TRACE...");
        return ExitCode::from(2);
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn replay(path: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    let mut replayer = Replayer::new();
    let (mut jobs, mut equal) = (0u64, 0u64);
    for event in TraceReader::new(BufReader::new(File::open(path)?))? {
        let Some(replayed) = replayer.event(&event?)? else {
            continue;
        };
        if replayed.agrees() {
            equal += 1;
        } else {
            match replayed.work {
                Work::Kick { start, .. } => {
                    let base = start.base;
                    println!(
                        "job {jobs} (core {}, commands at {base:#x}):",
                        replayed.core
                    );
                }
                Work::Job { kind, .. } => println!("job {jobs} ({kind:?}):"),
            }
            if let Some((address, now, then)) = replayed.difference {
                println!("  {address:#x} is {now:#04x}, was {then:#04x}");
            }
            for (when, fault) in [("now", &replayed.fault), ("then", &replayed.recorded_fault)] {
                if !fault.is_empty() {
                    println!("  {when}: {fault}");
                }
            }
        }
        jobs += 1;
    }
    println!("{jobs} jobs, {equal} as recorded");
    Ok(jobs > 0 && jobs == equal)
}
