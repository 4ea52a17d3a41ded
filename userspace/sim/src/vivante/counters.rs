//! What the model counts. Counts are facts of the model; the time is an estimate.

/// Counts since the counters were created. Bytes of memory are those that cross the bus: images
/// and coefficients that on-chip SRAM does not hold are read again for each superblock or tile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Bytes of command streams executed.
    pub command_bytes: u64,
    /// Bytes of descriptors and tables read.
    pub descriptor_bytes: u64,
    /// Bytes of coefficient streams read.
    pub coefficient_bytes: u64,
    /// Bytes of images read by NN jobs.
    pub image_bytes: u64,
    /// Bytes written by NN jobs.
    pub output_bytes: u64,
    /// Bytes read by TP jobs.
    pub tp_read_bytes: u64,
    /// Bytes written by TP jobs.
    pub tp_write_bytes: u64,
    /// Multiply-accumulates of non-zero weights, in pixels that are computed.
    pub macs: u64,
    /// Cycles of the MAC array: blocks of coefficients times groups of 64 pixels.
    pub mac_cycles: u64,
    /// Coefficient symbols decoded by the busiest core.
    pub symbols: u64,
    /// Kernels of streams that are beyond the output's channels.
    pub dropped_kernels: u64,
    /// NN jobs finished.
    pub nn_jobs: u64,
    /// TP jobs finished.
    pub tp_jobs: u64,
    /// Command streams, or events signalled.
    pub submissions: u64,
    /// Jobs and streams that ended in a fault.
    pub faults: u64,
    /// Estimated busy time in nanoseconds: for each job the largest of MAC cycles, symbols and
    /// bytes at the configured rates, plus a fixed cost.
    pub estimated_ns: u64,
}

impl Counters {
    /// All bytes moved.
    pub fn bytes(&self) -> u64 {
        self.command_bytes
            + self.descriptor_bytes
            + self.coefficient_bytes
            + self.image_bytes
            + self.output_bytes
            + self.tp_read_bytes
            + self.tp_write_bytes
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.command_bytes += other.command_bytes;
        self.descriptor_bytes += other.descriptor_bytes;
        self.coefficient_bytes += other.coefficient_bytes;
        self.image_bytes += other.image_bytes;
        self.output_bytes += other.output_bytes;
        self.tp_read_bytes += other.tp_read_bytes;
        self.tp_write_bytes += other.tp_write_bytes;
        self.macs += other.macs;
        self.mac_cycles += other.mac_cycles;
        self.symbols += other.symbols;
        self.dropped_kernels += other.dropped_kernels;
        self.nn_jobs += other.nn_jobs;
        self.tp_jobs += other.tp_jobs;
        self.submissions += other.submissions;
        self.faults += other.faults;
        self.estimated_ns += other.estimated_ns;
    }
}
