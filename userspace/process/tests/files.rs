//! What others may have put in a folder.

use ferrite_process::files::Folder;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A new folder of one test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("files-{name}"));
    let _ = fs::remove_dir_all(&path);
    Folder::make(&path).unwrap();
    path
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_was_written_is_read() {
    let path = folder("plain");
    let made = Folder::open(&path).unwrap();
    made.write("name", &[b"one ", b"two"]).unwrap();
    made.write("name", &[b"three"]).unwrap();
    assert_eq!(made.read("name").unwrap(), b"three");
    assert_eq!(made.read("other").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!((mode(&path), mode(&path.join("name"))), (0o700, 0o600));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

#[test]
fn links_are_not_followed() {
    let path = folder("links");
    let victim = path.join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, path.join("name")).unwrap();
    // Where the next files of this process may be written at first.
    for number in 0..64 {
        let part = format!(".{}-{number}.part", std::process::id());
        symlink(&victim, path.join(part)).unwrap();
    }
    let made = Folder::open(&path).unwrap();
    assert!(made.read("name").is_err());
    made.write("name", &[b"new"]).unwrap();
    assert_eq!(made.read("name").unwrap(), b"new");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
}

#[test]
fn fifos_and_folders_are_no_files() {
    let path = folder("fifo");
    let status = Command::new("mkfifo").arg(path.join("name")).status();
    assert!(status.unwrap().success());
    fs::create_dir(path.join("folder")).unwrap();
    let made = Folder::open(&path).unwrap();
    let error = made.read("name").unwrap_err().to_string();
    assert!(error.contains("no regular file"), "{error}");
    assert!(made.read("folder").is_err());
    assert!(made.write("folder", &[b"new"]).is_err());
    made.write("name", &[b"new"]).unwrap();
    assert_eq!(made.read("name").unwrap(), b"new");
}

#[test]
fn what_others_can_write_to_is_not_used() {
    let path = folder("shared");
    let made = Folder::open(&path).unwrap();
    made.write("name", &[b"ours"]).unwrap();
    fs::set_permissions(path.join("name"), fs::Permissions::from_mode(0o666)).unwrap();
    let error = made.read("name").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    for bits in [0o770, 0o1777, 0o757] {
        fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        assert!(Folder::open(&path).is_err(), "{bits:o}");
        assert!(Folder::make(&path).is_err(), "{bits:o}");
    }
}
