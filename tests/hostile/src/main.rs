//! `ferrite-hostile run FIRST COUNT` tries models out; `ferrite-hostile make FIRST COUNT FOLDER` writes
//! them to files, for runtimes that read files.

use ferrite_hostile::{model, try_out};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let range = |first: &str, count: &str| -> Option<std::ops::Range<u64>> {
        let (first, count): (u64, u64) = (first.parse().ok()?, count.parse().ok()?);
        Some(first..first.checked_add(count)?)
    };
    match words[..] {
        ["run", first, count] if range(first, count).is_some() => {
            run(range(first, count).unwrap_or(0..0))
        }
        ["make", first, count, folder] if range(first, count).is_some() => {
            for seed in range(first, count).unwrap_or(0..0) {
                let path = Path::new(folder).join(format!("{seed}.tflite"));
                if let Err(error) = std::fs::write(&path, model(seed).1) {
                    eprintln!("{}: {error}", path.display());
                    return ExitCode::FAILURE;
                }
            }
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: ferrite-hostile run FIRST COUNT | make FIRST COUNT FOLDER");
            ExitCode::from(2)
        }
    }
}

fn run(seeds: std::ops::Range<u64>) -> ExitCode {
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut wrong = 0;
    for seed in seeds {
        let file = model(seed).1;
        let outcome = catch_unwind(AssertUnwindSafe(|| try_out(&file)));
        let what = match outcome {
            Ok(Ok(outcome)) => format!("{outcome:?}"),
            Ok(Err(what)) => {
                println!("seed {seed}: {what}");
                wrong += 1;
                "wrong".to_owned()
            }
            Err(_) => {
                println!("seed {seed}: panic");
                wrong += 1;
                "panic".to_owned()
            }
        };
        *outcomes.entry(what).or_default() += 1;
    }
    println!("{outcomes:?}");
    ExitCode::from(u8::from(wrong > 0))
}
