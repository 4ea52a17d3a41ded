//! The fingerprint of the compiler, which tells what was made by another one: compiled graphs in
//! caches, and reports of selftests.

use std::fs;
use std::path::{Path, PathBuf};

/// Crates whose code decides what an executable holds.
const COMPILER: [&str; 4] = ["../hw/src", "../ir/src", "../cpu/src", "../compiler/src"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let mut files = Vec::new();
    for folder in COMPILER {
        println!("cargo:rerun-if-changed={folder}");
        collect(Path::new(folder), &mut files);
    }
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for file in &files {
        for byte in fs::read(file).expect("a source file that was just listed") {
            // FNV-1a, 64 bits.
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    println!("cargo:rustc-env=FERRITE_COMPILER_FINGERPRINT={hash:016x}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
