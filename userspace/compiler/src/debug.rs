//! `FERRITE_DEBUG=print,verify,time`: what the passes do, on standard error.

use std::io::Write;
use std::time::Instant;

use crate::index::Index;
use crate::npu::{self, Form};

/// What was asked for, and when the last pass ended.
pub struct Debug {
    print: bool,
    verify: bool,
    time: bool,
    last: Instant,
}

impl Debug {
    /// As the environment has it. Debug builds verify whatever it says.
    pub fn from_environment() -> Debug {
        let asked = std::env::var("FERRITE_DEBUG").unwrap_or_default();
        let has = |word: &str| asked.split(',').any(|asked| asked.trim() == word);
        Debug {
            print: has("print"),
            verify: has("verify") || cfg!(debug_assertions),
            time: has("time"),
            last: Instant::now(),
        }
    }

    /// Notes that a pass has ended.
    ///
    /// # Panics
    /// If the pass has left a form that its graph contradicts, and forms are verified: a mistake in
    /// the pass.
    pub fn after(&mut self, pass: &str, index: &Index, form: &Form) {
        self.time(pass);
        // Standard error may be closed or full, which must not fail the compilation.
        let mut to = std::io::stderr();
        if self.print {
            let _ = writeln!(to, "# after {pass}\n{}", npu::print(index, form));
        }
        if self.verify
            && let Err(why) = npu::verify(index, form)
        {
            panic!("after {pass}: {why}\n{}", npu::print(index, form));
        }
        self.restart();
    }

    /// Notes that something that leaves no form has ended.
    pub fn time(&mut self, what: &str) {
        if self.time {
            let took = self.last.elapsed().as_secs_f64() * 1e6;
            let _ = writeln!(std::io::stderr(), "# {what}: {took:.1} us");
        }
        self.restart();
    }

    fn restart(&mut self) {
        // Asking for the time takes longer than some passes.
        if self.time {
            self.last = Instant::now();
        }
    }
}
