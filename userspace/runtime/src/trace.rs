//! A run with the time of each step.

use crate::cpu::Value;
use crate::device::Counters;
use crate::session::{RunError, Session};
use std::time::{Duration, Instant};

/// One step of the executable in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the step.
    pub step: usize,
    /// From the run's beginning to the step's.
    pub start: Duration,
    /// How long it took on the host, waiting for the device included.
    pub length: Duration,
    /// What the device has counted in it, if it counts.
    pub counters: Option<Counters>,
}

impl Session {
    /// As [`Session::run`], with the time of each step. Taking the device's counts between steps
    /// takes time as well, which is in no span.
    pub fn run_traced(&mut self, inputs: &[Value]) -> Result<(Vec<Value>, Vec<Span>), RunError> {
        self.set_inputs(inputs)?;
        let mut counted = self.counters();
        let mut spans = Vec::with_capacity(self.executable().steps.len());
        let begin = Instant::now();
        let mut start = begin;
        self.run_steps(&mut |step, program| {
            let length = start.elapsed();
            let now = program.and_then(|program| program.counters());
            let counters = match (&now, &counted) {
                (Some(now), Some(before)) => Some(now.since(before)),
                _ => None,
            };
            spans.push(Span {
                step,
                start: start - begin,
                length,
                counters,
            });
            counted = now;
            start = Instant::now();
        })?;
        Ok((self.outputs()?, spans))
    }
}
