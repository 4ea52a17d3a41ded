//! Messages on standard error, as far as the option `log` asks for them.

use ferrite_process::say;
use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level().as_str().to_lowercase();
        say(&format!("ferrite {level}: {}", record.args()));
    }

    fn flush(&self) {}
}

/// Lets messages up to `level` through. Delegates of one process share the logger: the one that
/// asks for most decides.
pub fn raise(level: LevelFilter) {
    // Fails if it is set already, which is as good.
    let _ = log::set_logger(&Stderr);
    if level > log::max_level() {
        log::set_max_level(level);
    }
}
