//! docs/debugging.md lists the variables of the environment: those that the sources name, and no others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PREFIX: &str = "FERRITE_";

/// Words that begin with the prefix, and are no part of a longer one.
fn variables(text: &str) -> BTreeSet<String> {
    let inner = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !inner(c))
        .filter(|word| word.len() > PREFIX.len() && word.starts_with(PREFIX))
        .map(str::to_owned)
        .collect()
}

/// All texts below a folder, but for what is built there.
fn read(path: &Path, found: &mut BTreeSet<String>) {
    let name = path.file_name().unwrap_or_default();
    // This file names what is no variable.
    if name == "target" || name == "variables.rs" {
        return;
    }
    if path.is_dir() {
        let entries = std::fs::read_dir(path).expect("a folder of the repository");
        for entry in entries {
            read(&entry.expect("an entry").path(), found);
        }
    } else if let Ok(text) = std::fs::read_to_string(path) {
        found.extend(variables(&text));
    }
}

#[test]
fn the_list_of_variables_is_complete() {
    let repository: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../.."].iter().collect();
    let mut used = BTreeSet::new();
    for part in [
        "Makefile",
        ".ci",
        "examples",
        "kernel",
        "packaging",
        "tests",
        "tools",
        "userspace",
    ] {
        read(&repository.join(part), &mut used);
    }
    let list = std::fs::read_to_string(repository.join("docs/debugging.md")).expect("the list");
    let listed = variables(&list);
    let missing: Vec<_> = used.difference(&listed).collect();
    assert!(missing.is_empty(), "not in docs/debugging.md: {missing:?}");
    let unused: Vec<_> = listed.difference(&used).collect();
    assert!(
        unused.is_empty(),
        "docs/debugging.md lists what nothing reads: {unused:?}"
    );
}

#[test]
fn parts_of_words_are_no_variables() {
    let text = "env::var(\"FERRITE_A_1\") DRM_IOCTL_FERRITE_B $FERRITE_C, FERRITE_";
    assert_eq!(
        Vec::from_iter(variables(text)),
        ["FERRITE_A_1", "FERRITE_C"]
    );
}
