//! The file in which jobs are recorded.

use std::fs::File;
use std::io::BufWriter;
use std::sync::{Mutex, PoisonError};

use ferrite_sim::trace::{Event, TraceWriter};

/// A trace that several cores write to.
pub struct Trace(Mutex<Option<TraceWriter<BufWriter<File>>>>);

impl Trace {
    /// Starts a trace.
    pub fn new(file: File) -> std::io::Result<Self> {
        Ok(Self(Mutex::new(Some(TraceWriter::new(BufWriter::new(
            file,
        ))?))))
    }

    /// Appends an event. After an error, which is reported once, the trace ends there.
    pub fn event(&self, event: &Event) {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = writer.as_mut().map(|writer| writer.event(event)) {
            log::error!("the trace cannot be written and ends here: {error}");
            *writer = None;
        }
    }

    /// Writes out what is still in memory, and ends the trace.
    pub fn flush(&self) {
        let writer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = writer.map(TraceWriter::finish) {
            log::error!("the trace cannot be written: {error}");
        }
    }
}
