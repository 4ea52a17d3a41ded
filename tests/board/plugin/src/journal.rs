//! What the models have to say goes to a file, for QEMU's own output belongs to QEMU.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

struct Journal(Mutex<File>);

impl log::Log for Journal {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // There is nowhere to report that the report failed.
            let _ = writeln!(file, "{}: {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

/// Sends all log records to `file` from now on.
pub fn start(file: File) {
    if log::set_boxed_logger(Box::new(Journal(Mutex::new(file)))).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}
