//! No file of a crate needs another one that needs it: read in the order of their dependencies, files
//! explain themselves.
//!
//! The test reads paths that begin with `crate`, `self` or `super`. A `pub use` counts as a name, not as
//! a use: who takes the name from there needs the file that has the thing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Module path, such as `["targets", "rk3588"]`.
type Module = Vec<String>;

#[derive(Default)]
struct File {
    name: PathBuf,
    /// Names that it only passes on, and the paths behind them.
    passed_on: BTreeMap<String, Module>,
    /// Modules that it passes on all names of.
    globs: Vec<Module>,
    /// Absolute paths in it.
    paths: BTreeSet<Module>,
}

/// The code without comments, strings and tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let text = &text.replace("'\"'", "' '");
    let mut code = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['/', '"']) {
        code.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = if rest.starts_with("//") {
            rest.find('\n')
        } else if let Some(string) = rest.strip_prefix('"') {
            let mut escaped = false;
            let close = |c: char| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            };
            string.find(close).map(|end| end + 2)
        } else {
            code.push('/');
            Some(1)
        };
        rest = end.map_or("", |end| &rest[end..]);
    }
    code + rest
}

/// The paths of a use tree, such as `a::{b, c::D as E}`, with the name that each gets.
fn tree(text: &str, before: &[String], found: &mut Vec<(String, Module)>) {
    let text = text.trim();
    if let Some(open) = text.find('{') {
        let mut path = before.to_vec();
        path.extend(segments(&text[..open]));
        let inner = &text[open + 1..text.rfind('}').unwrap_or(text.len())];
        let (mut depth, mut start) = (0, 0);
        for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    tree(&inner[start..at], &path, found);
                    start = at + 1;
                }
                _ => {}
            }
        }
    } else if !text.is_empty() {
        let (path, name) = match text.split_once(" as ") {
            Some((path, name)) => (path, name.trim()),
            None => (text, text.rsplit("::").next().unwrap_or(text).trim()),
        };
        let mut whole = before.to_vec();
        whole.extend(segments(path));
        if name == "self" {
            whole.pop();
        }
        found.push((name.to_owned(), whole));
    }
}

fn segments(path: &str) -> impl Iterator<Item = String> {
    path.split("::")
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
}

/// A path from the crate's root; `None` if it leads out of the crate.
fn absolute(path: &[String], here: &Module, modules: &BTreeMap<Module, File>) -> Option<Module> {
    let mut at = here.clone();
    let (first, mut rest) = path.split_first()?;
    match first.as_str() {
        "crate" => at.clear(),
        "self" => {}
        "super" => {
            at.pop()?;
        }
        name => {
            at.push(name.to_owned());
            // A child of this module, or another crate.
            modules.contains_key(&at).then_some(())?;
        }
    }
    while let Some((next, after)) = rest.split_first().filter(|(next, _)| *next == "super") {
        let _ = next;
        at.pop()?;
        rest = after;
    }
    at.extend(rest.iter().cloned());
    Some(at)
}

/// The file that has what a path names.
fn home(path: &Module, modules: &BTreeMap<Module, File>, depth: usize) -> Option<Module> {
    if modules.contains_key(path) || depth == 0 {
        return Some(path.clone());
    }
    let (owner, rest) = (0..path.len())
        .rev()
        .map(|len| path.split_at(len))
        .find(|(module, _)| modules.contains_key(*module))?;
    let (name, rest) = rest.split_first()?;
    let file = &modules[owner];
    if let Some(behind) = file.passed_on.get(name) {
        let mut path = behind.clone();
        path.extend_from_slice(rest);
        return home(&path, modules, depth - 1);
    }
    // Which of the modules has the name cannot be told without reading it; one that passes on all of a
    // module is a name for it.
    match &file.globs[..] {
        [only] => Some(only.clone()),
        _ => Some(owner.to_vec()),
    }
}

fn read(folder: &Path, module: Module, files: &mut BTreeMap<Module, (PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        let mut inner = module.clone();
        if path.is_dir() {
            inner.push(name);
            read(&path, inner, files);
        } else if let Some(stem) = name.strip_suffix(".rs") {
            if !matches!(stem, "mod" | "lib" | "main") {
                inner.push(stem.to_owned());
            }
            let text = code(&std::fs::read_to_string(&path).unwrap());
            files.insert(inner, (path, text));
        }
    }
}

/// What each file of a crate needs of the others.
fn dependencies(root: &Path) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let mut texts = BTreeMap::new();
    read(root, Vec::new(), &mut texts);
    let mut modules: BTreeMap<Module, File> = texts
        .iter()
        .map(|(module, (name, _))| {
            let name = name.strip_prefix(root).unwrap().to_owned();
            (
                module.clone(),
                File {
                    name,
                    ..File::default()
                },
            )
        })
        .collect();
    for (module, (_, text)) in &texts {
        let mut file = File::default();
        let mut others = String::new();
        for statement in text.split_inclusive(';') {
            let Some(at) = statement
                .find("pub use ")
                .filter(|_| statement.ends_with(';'))
            else {
                others.push_str(statement);
                continue;
            };
            others.push_str(&statement[..at]);
            let mut found = Vec::new();
            tree(statement[at + 8..].trim_end_matches(';'), &[], &mut found);
            for (name, path) in found {
                let Some(path) = absolute(&path, module, &modules) else {
                    continue;
                };
                match name.as_str() {
                    "*" => file.globs.push(path[..path.len() - 1].to_vec()),
                    _ => {
                        file.passed_on.insert(name, path);
                    }
                }
            }
        }
        let children = modules.keys().filter(|other| {
            other
                .split_last()
                .is_some_and(|(_, parent)| parent == module)
        });
        let children = children.map(|child| format!("{}::", child[child.len() - 1]));
        let roots = ["crate::", "super::", "self::"].map(str::to_owned);
        for root in roots.into_iter().chain(children) {
            for (at, _) in others.match_indices(root.as_str()) {
                let before = others[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                // A use has a tree; elsewhere a path ends where no name follows.
                let rest = &others[at..];
                let end = match others[..at].trim_end().ends_with("use") {
                    true => rest.find(';'),
                    false => rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')),
                };
                let mut found = Vec::new();
                tree(&rest[..end.unwrap_or(rest.len())], &[], &mut found);
                for (_, path) in found {
                    file.paths.extend(absolute(&path, module, &modules));
                }
            }
        }
        file.name = modules[module].name.clone();
        modules.insert(module.clone(), file);
    }
    let needs = |module: &Module, file: &File| {
        let homes = file.paths.iter().filter_map(|path| home(path, &modules, 8));
        homes
            .filter(|home| home != module)
            .map(|home| modules[&home].name.clone())
            .collect()
    };
    modules
        .iter()
        .map(|(module, file)| (file.name.clone(), needs(module, file)))
        .collect()
}

/// Files in the order of a circle; `None` if there is none.
fn circle(needs: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Option<Vec<PathBuf>> {
    let mut left = needs.clone();
    loop {
        let free: Vec<PathBuf> = left
            .iter()
            .filter(|(_, needs)| needs.iter().all(|need| !left.contains_key(need)))
            .map(|(name, _)| name.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(&name);
        }
    }
    // Each of those that are left needs another one of them.
    let mut walked = vec![left.keys().next()?.clone()];
    loop {
        let last = &walked[walked.len() - 1];
        let next = left[last].iter().find(|need| left.contains_key(*need))?;
        if let Some(at) = walked.iter().position(|name| name == next) {
            return Some(walked.split_off(at));
        }
        walked.push(next.clone());
    }
}

fn check(folder: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder);
    let needs = dependencies(&root);
    assert!(needs.values().any(|needs| needs.len() > 2), "{needs:?}");
    if let Some(circle) = circle(&needs) {
        panic!("files of {folder} need each other: {circle:?}");
    }
}

#[test]
fn hw_has_no_circle() {
    check("userspace/hw/src");
}

#[test]
fn ir_has_no_circle() {
    check("userspace/ir/src");
}

#[test]
fn the_compiler_has_no_circle() {
    check("userspace/compiler/src");
}

#[test]
fn the_drivers_policy_has_no_circle() {
    check("kernel/policy/src");
}

#[test]
fn circles_are_found() {
    let name = |name: &str| PathBuf::from(name);
    let mut needs = BTreeMap::from([
        (name("a"), BTreeSet::from([name("b")])),
        (name("b"), BTreeSet::from([name("c")])),
        (name("c"), BTreeSet::new()),
    ]);
    assert_eq!(circle(&needs), None);
    needs.insert(name("c"), BTreeSet::from([name("b")]));
    assert_eq!(circle(&needs), Some(vec![name("b"), name("c")]));
    // As in this crate: a path in a comment, a string or a test is none.
    let text = "use crate::a; // crate::b\nlet x = \"crate::c\";\n#[cfg(test)]\nmod tests { use crate::d; }";
    assert_eq!(code(text), "use crate::a; \nlet x = ;\n");
}
