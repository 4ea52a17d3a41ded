//! What the shared library needs and gives, as the linker left it.

use std::path::PathBuf;
use std::process::Command;

/// The library that this test run built, next to the test's own program.
fn library() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let library = program.parent().unwrap().join("libferrite_delegate.so");
    if !library.exists() {
        eprintln!("skipped: {} was not built", library.display());
        return None;
    }
    Some(library)
}

fn dynamic_symbols(arguments: &[&str]) -> Option<Vec<String>> {
    let library = library()?;
    let output = Command::new("nm")
        .arg("-D")
        .args(arguments)
        .arg(library)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no nm");
        return None;
    };
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().last());
    Some(names.map(str::to_owned).collect())
}

#[test]
fn the_library_exports_the_plugin_and_nothing_else() {
    let Some(mut names) = dynamic_symbols(&["--defined-only"]) else {
        return;
    };
    names.sort();
    let plugin = [
        "tflite_plugin_create_delegate",
        "tflite_plugin_destroy_delegate",
    ];
    assert_eq!(names, plugin);
}

#[test]
fn the_library_needs_the_c_library_only_and_no_newer_than_2_36() {
    let Some(names) = dynamic_symbols(&["--undefined-only"]) else {
        return;
    };
    assert!(names.iter().any(|name| name.starts_with("malloc@GLIBC_")));
    for name in &names {
        assert!(!name.to_lowercase().contains("tflite"), "{name}");
        let (symbol, version) = name.split_once('@').unwrap_or((name, ""));
        if let Some(version) = version.trim_start_matches('@').strip_prefix("GLIBC_") {
            let number = |part: &str| part.parse::<u32>().unwrap();
            let parts: Vec<u32> = version.split('.').map(number).collect();
            assert!(parts <= vec![2, 36], "{name}");
        } else if !version.starts_with("GCC_") {
            // Weak references, which may stay open.
            let weak = ["__cxa", "_ITM_", "__gmon", "gettid", "statx"];
            assert!(weak.iter().any(|w| symbol.starts_with(w)), "{name}");
        }
    }
}
