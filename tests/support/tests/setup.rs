//! `tools/setup` on machines that lack things: all programs that it calls but for the plainest are
//! stand-ins here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What setup may use as it is.
const PLAIN: [&str; 10] = [
    "sh", "sed", "cut", "sort", "head", "dirname", "find", "env", "cat", "chmod",
];

/// A machine with nothing but plain programs.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine {
            folder: tempfile::tempdir().expect("a folder"),
        };
        fs::create_dir(machine.programs()).expect("the folder is ours");
        for name in PLAIN {
            let real = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
            let real = real.iter().find(|path| path.exists());
            symlink(real.expect(name), machine.programs().join(name)).expect("the folder is ours");
        }
        machine.has("id", "echo 0");
        // A compiler that links.
        machine.has("cc", "cat >/dev/null");
        machine
    }

    fn programs(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// Adds a program.
    fn has(&self, name: &str, script: &str) {
        let path = self.programs().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the folder is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }

    fn has_rust(&self, version: &str) {
        self.has("cargo", "exit 0");
        self.has("rustc", &format!("echo 'rustc {version} (0 2026-01-01)'"));
    }

    /// Debian, whose current Rust is of this version. Installing it makes it so; what else is
    /// installed is noted.
    fn has_debian(&self, version: &str) {
        self.has(
            "apt-cache",
            &format!("echo \"$2:\"; echo '  Candidate: {version}+dfsg1-1~deb13u1'"),
        );
        let programs = self.programs();
        let programs = programs.display();
        self.has(
            "apt-get",
            &format!(
                "echo \"$*\" >> {programs}/installed\ncase \"$*\" in *rustc-web*)\n\
                 printf '#!/bin/sh\\necho rustc {version}\\n' > {programs}/rustc\n\
                 printf '#!/bin/sh\\n' > {programs}/cargo\n\
                 chmod 755 {programs}/rustc {programs}/cargo;; esac"
            ),
        );
    }

    fn setup(&self) -> Output {
        let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../tools/setup"]
            .iter()
            .collect();
        Command::new(self.programs().join("sh"))
            .arg(script)
            .arg("build")
            .env_clear()
            .env("PATH", self.programs())
            .env("HOME", self.folder.path())
            .output()
            .expect("the shell starts")
    }

    /// Runs setup, which must end well or not, and gives what it says and what it installed.
    fn run(&self, success: bool) -> (String, String) {
        let output = self.setup();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), success, "{words}");
        let installed = fs::read_to_string(self.programs().join("installed"));
        (words, installed.unwrap_or_default())
    }
}

#[test]
fn debian_s_current_rust_is_installed_where_there_is_none_or_an_old_one() {
    for old in [None, Some("1.85.0")] {
        let machine = Machine::new();
        machine.has_debian("1.96.0");
        if let Some(old) = old {
            machine.has_rust(old);
        }
        let (words, installed) = machine.run(true);
        assert!(installed.contains("cargo-web rustc-web"), "{installed}");
        assert!(words.contains("installing Debian packages"), "{words}");
    }
}

#[test]
fn a_new_rust_is_left_alone() {
    let machine = Machine::new();
    machine.has_debian("1.96.0");
    machine.has_rust("1.97.1");
    assert_eq!(machine.run(true), Default::default());
}

/// Who has rustup is told to use it; who has neither it nor a current Debian, where to get it.
#[test]
fn what_to_do_is_said_where_nothing_can_be_installed() {
    let machine = Machine::new();
    machine.has_debian("1.96.0");
    machine.has_rust("1.85.0");
    machine.has("rustup", "exit 0");
    let (words, installed) = machine.run(false);
    assert!(
        words.contains("rustc is 1.85.0") && words.contains("rustup update stable"),
        "{words}"
    );
    assert_eq!(installed, "");

    let (words, _) = Machine::new().run(false);
    assert!(
        words.contains("https://sh.rustup.rs") && !words.contains("rustup update"),
        "{words}"
    );

    let machine = Machine::new();
    machine.has_debian("1.63.0");
    let (words, installed) = machine.run(false);
    assert!(words.contains("https://sh.rustup.rs"), "{words}");
    assert!(!installed.contains("install"), "{installed}");
}

/// Without the right to install, the command to type is said.
#[test]
fn users_are_told_the_command() {
    let machine = Machine::new();
    machine.has_debian("1.96.0");
    machine.has("id", "echo 1000");
    let (words, installed) = machine.run(false);
    assert!(
        words.contains("sudo apt-get install") && words.contains("cargo-web rustc-web"),
        "{words}"
    );
    assert_eq!(installed, "");
}
