//! Names of classes: from a list that the user gives, from the archive that TFLite models carry
//! behind their end, or from a file beside the model.

use crate::error::CliError;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use zip::ZipArchive;

/// Names by the number of their class.
type List = Vec<String>;

/// The lists of names that there are for a model's classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    lists: Vec<List>,
    /// Whether the user has named the list, so that no number of classes speaks against it.
    given: bool,
}

/// Lists are not longer than this.
const MOST_BYTES: u64 = 1 << 20;
/// Lists in an archive that are looked at.
const MOST_LISTS: usize = 16;

/// Name of a list's first class if it is not a thing but everything else, which detectors leave out.
const BACKGROUND: [&str; 4] = ["", "???", "background", "__background__"];

impl Labels {
    /// The list that the user has given, else those that come with the model.
    pub fn find(given: Option<&Path>, model: &Path) -> Result<Labels, CliError> {
        if let Some(path) = given {
            let text = std::fs::read_to_string(path).map_err(CliError::io(path))?;
            let lists = vec![parse(&text)];
            return Ok(Labels { lists, given: true });
        }
        let mut lists = Vec::new();
        if let Ok(file) = File::open(model) {
            lists.extend(in_archive(file));
        }
        lists.extend(beside(model));
        Ok(Labels {
            lists,
            given: false,
        })
    }

    /// Whether a list has just as many names.
    pub fn are(&self, classes: usize) -> bool {
        self.lists.iter().any(|list| list.len() == classes)
    }

    /// Names for a number of classes, which may be unknown. Of the lists that come with a model only
    /// those count that have a name for each class; that of the background may come first, and is
    /// left out.
    pub fn of(&self, classes: Option<usize>) -> Vec<String> {
        let fitting = |names: &List| {
            let background = names.first().is_some_and(|n| BACKGROUND.contains(&&n[..]));
            match classes {
                Some(classes) if names.len() == classes + 1 && background => {
                    Some(names[1..].to_vec())
                }
                Some(classes) if names.len() != classes && !self.given => None,
                _ => Some(names.clone()),
            }
        };
        self.lists.iter().find_map(fitting).unwrap_or_default()
    }
}

/// Text files in an archive at the end of a model.
fn in_archive(file: impl Read + Seek) -> Vec<List> {
    let Ok(mut archive) = ZipArchive::new(file) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for index in 0..archive.len() {
        if found.len() == MOST_LISTS {
            break;
        }
        let Ok(member) = archive.by_index(index) else {
            continue;
        };
        let mut text = String::new();
        let whole = member.size() <= MOST_BYTES
            && member.name().is_ok_and(|name| name.ends_with(".txt"))
            && member.take(MOST_BYTES).read_to_string(&mut text).is_ok();
        if whole {
            found.push(parse(&text));
        }
    }
    found
}

/// Files beside a model that are named after it or are what lists are usually called.
fn beside(model: &Path) -> Vec<List> {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    let names = [
        format!("{stem}.txt"),
        format!("{stem}.labels"),
        format!("{stem}_labels.txt"),
        format!("{stem}.labels.txt"),
        "labels.txt".to_owned(),
        "labelmap.txt".to_owned(),
    ];
    let list = |name: String| {
        let path = model.with_file_name(name);
        let short = std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= MOST_BYTES);
        let text = short.then(|| std::fs::read_to_string(&path))?.ok()?;
        Some(parse(&text))
    };
    // A graph as text is no list of its names.
    let own = model.file_name();
    let others = names.into_iter().filter(|name| own != Some(name.as_ref()));
    others.filter_map(list).collect()
}

/// Classes have lower numbers.
const MOST_CLASSES: usize = 1 << 16;

/// One name a line. In a list whose every line has a number (`17 hen`, `17: hen`) the numbers are those
/// of the classes; classes that it leaves out have an empty name.
fn parse(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
    let filled = lines.iter().filter(|line| !line.is_empty());
    let entries: Option<Vec<(usize, &str)>> = filled.map(|line| numbered(line)).collect();
    let ascending = |entries: &Vec<(usize, &str)>| {
        let rising = entries.is_sorted_by(|(a, _), (b, _)| a < b);
        rising && entries.first().is_some_and(|&(first, _)| first <= 1)
    };
    match entries.filter(ascending) {
        Some(entries) => {
            let mut names = Vec::new();
            for (number, name) in entries {
                names.resize(number, String::new());
                names.push(name.to_owned());
            }
            names
        }
        None => lines.into_iter().map(str::to_owned).collect(),
    }
}

/// The number at the beginning of a line, and the rest behind a colon or a space.
fn numbered(line: &str) -> Option<(usize, &str)> {
    let end = line.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = line.split_at(end);
    let name = rest.strip_prefix(':').unwrap_or(rest);
    let separated = name.starts_with(char::is_whitespace) || rest != name;
    let number = number.parse().ok().filter(|&n| n < MOST_CLASSES)?;
    separated.then(|| (number, name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::PathBuf;

    #[test]
    fn numbers_count_if_all_lines_have_them() {
        assert_eq!(parse("0 a b\n1: c\n"), ["a b", "c"]);
        assert_eq!(parse("0  a\n2  c\n\n"), ["a", "", "c"]);
        assert_eq!(parse("1 a\n2 b\n"), ["", "a", "b"]);
        assert_eq!(parse("2 a\n1 b\n\n"), ["2 a", "1 b"]);
        assert_eq!(parse("7 up\n9 lives\n"), ["7 up", "9 lives"]);
        assert_eq!(parse("0 a\n99999999 b\n"), ["0 a", "99999999 b"]);
        assert_eq!(
            parse("background\n10 things\n"),
            ["background", "10 things"]
        );
    }

    /// A model with an archive behind it, as TFLite's metadata tools write it.
    fn model(folder: &Path, members: &[(&str, &str)]) -> PathBuf {
        let path = folder.join("net.tflite");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"the model itself").unwrap();
        let mut archive = zip::ZipWriter::new(file);
        for (name, text) in members {
            let options = zip::write::SimpleFileOptions::default();
            archive.start_file(*name, options).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        path
    }

    #[test]
    fn the_model_s_own_archive_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let members = [("README.md", "one\ntwo\n"), ("map.txt", "???\ncat\ndog\n")];
        let path = model(folder.path(), &members);
        let found = Labels::find(None, &path).unwrap();
        assert_eq!(found.lists.len(), 1);
        assert_eq!(found.of(Some(2)), ["cat", "dog"]);
        assert_eq!(found.of(Some(3)), ["???", "cat", "dog"]);
        assert_eq!(found.of(None), ["???", "cat", "dog"]);
        assert!(found.of(Some(5)).is_empty());
        assert!(found.are(3) && !found.are(2));
    }

    #[test]
    fn a_file_beside_the_model_names_classes_if_their_number_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.tflite");
        std::fs::write(&path, "the model").unwrap();
        assert!(Labels::find(None, &path).unwrap().lists.is_empty());
        std::fs::write(folder.path().join("labels.txt"), "a\nb\nc\n").unwrap();
        std::fs::write(folder.path().join("net_labels.txt"), "x\ny\n").unwrap();
        let found = Labels::find(None, &path).unwrap();
        assert_eq!(found.of(Some(2)), ["x", "y"]);
        assert_eq!(found.of(Some(3)), ["a", "b", "c"]);
        assert!(found.of(Some(4)).is_empty());
    }

    #[test]
    fn a_graph_as_text_does_not_name_its_classes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.txt");
        std::fs::write(&path, "graph \"g\"\ninputs %0\n").unwrap();
        assert!(Labels::find(None, &path).unwrap().of(None).is_empty());
    }

    #[test]
    fn a_given_list_counts_whatever_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("any.txt");
        std::fs::write(&list, "a\nb\n").unwrap();
        let found = Labels::find(Some(&list), Path::new("net.tflite")).unwrap();
        assert_eq!(found.of(Some(7)), ["a", "b"]);
        let missing = Labels::find(Some(Path::new("no such file")), &list);
        assert_eq!(missing.unwrap_err().code(), 1);
    }
}
