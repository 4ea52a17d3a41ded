//! What a core counts. Counts are facts of the model; the time is an estimate.

use super::config::Config;

/// Counts since the last reset of the counters. Bytes are those that the command lists ask for,
/// without bursts that read past the end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Bytes of command lists fetched.
    pub command_bytes: u64,
    /// Bytes of features read by CNA.
    pub feature_bytes: u64,
    /// Bytes of weights read by CNA.
    pub weight_bytes: u64,
    /// Bytes of per-channel operands (bias, multipliers) read by DPU_RDMA.
    pub bias_bytes: u64,
    /// Bytes of element-wise operands and of sources in flying mode read by DPU_RDMA.
    pub operand_bytes: u64,
    /// Bytes read by PPU_RDMA.
    pub pool_bytes: u64,
    /// Bytes written by the DPU and the PPU.
    pub output_bytes: u64,
    /// Multiply-accumulates of real kernels and padded input channels.
    pub macs: u64,
    /// Atomic steps of the MAC array: one per output pixel, tap, block of 32 input channels and
    /// kernel group; a lower bound of its cycles.
    pub mac_cycles: u64,
    /// Atoms of 16 bytes written.
    pub atoms: u64,
    /// Starts.
    pub kicks: u64,
    /// Tasks finished.
    pub tasks: u64,
    /// Completion interrupts raised.
    pub interrupts: u64,
    /// Kicks that ended in a fault.
    pub faults: u64,
    /// Estimated busy time in nanoseconds: for each task the larger of MAC cycles at the
    /// configured clock and bytes at the bandwidth of a core, plus what a kick costs, and each further
    /// task of it.
    pub estimated_ns: u64,
}

impl Counters {
    /// All bytes moved.
    pub fn bytes(&self) -> u64 {
        self.command_bytes
            + self.feature_bytes
            + self.weight_bytes
            + self.bias_bytes
            + self.operand_bytes
            + self.pool_bytes
            + self.output_bytes
    }

    /// Adds the estimate of a task whose counts (and nothing else) are in `self`.
    pub(crate) fn estimate_task(&mut self, config: &Config) {
        let compute = self.mac_cycles as f64 / config.timing.clock_hz;
        let transfer = self.bytes() as f64 / config.timing.core_bandwidth;
        self.estimated_ns += (compute.max(transfer) * 1e9) as u64;
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.command_bytes += other.command_bytes;
        self.feature_bytes += other.feature_bytes;
        self.weight_bytes += other.weight_bytes;
        self.bias_bytes += other.bias_bytes;
        self.operand_bytes += other.operand_bytes;
        self.pool_bytes += other.pool_bytes;
        self.output_bytes += other.output_bytes;
        self.macs += other.macs;
        self.mac_cycles += other.mac_cycles;
        self.atoms += other.atoms;
        self.kicks += other.kicks;
        self.tasks += other.tasks;
        self.interrupts += other.interrupts;
        self.faults += other.faults;
        self.estimated_ns += other.estimated_ns;
    }
}
