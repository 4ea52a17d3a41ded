//! Engines that are still to come.
use super::core::Core;
use super::counters::Counters;
use super::fault::{Check, FaultKind};
use super::state::Running;
use crate::memory::Memory;

impl Core {
    pub(super) fn run_pooling(&mut self, _: &dyn Memory, _: Running, _: &mut Counters) -> Check {
        Err(FaultKind::NotModelled("pooling"))
    }
    pub(super) fn run_flying(&mut self, _: &dyn Memory, _: Running, _: &mut Counters) -> Check {
        Err(FaultKind::NotModelled("DPU without convolution"))
    }
}
