//! Front-end states that NPU work and the kernel driver load: byte addresses and names.

/// Declares states: a constant each, and the table [`STATES`].
macro_rules! states {
    ($($address:literal $name:ident $meaning:literal,)*) => {
        $(
            #[doc = concat!($meaning, ".")]
            pub const $name: u32 = $address;
        )*

        /// All states by ascending address: address, name, meaning.
        pub const STATES: &[(u32, &str, &str)] = &[$(($address, stringify!($name), $meaning)),*];
    };
}

states! {
    0x0180 MMUV2_SAFE_ADDRESS "Address of the page that bad accesses go to; outside secure mode",
    0x0184 MMUV2_CONFIGURATION "Kernel: flush the translations (0x18), outside secure mode also the table's address",
    0x01ac MMUV2_PTA_CONFIG "Kernel: index of the context's entry in the page-table array",
    0x0a28 PA_SYSTEM_MODE "Mesa writes 0x11 once",
    0x10a0 PS_NN_INST_ADDR "Starts an NN job: descriptor address in [31:6], id in [4:0]",
    0x10a4 PS_SYNC_ID "Waits for the id; written behind each job",
    0x10b8 PS_TP_INST_ADDR "Starts a TP job: descriptor address in [31:6], id in [4:0]",
    0x1650 TS_FLUSH_CACHE "Kernel: flush the tile status cache",
    0x3800 GL_PIPE_SELECT "Kernel: 0 = 3D, which NPU jobs run as",
    0x3804 GL_EVENT "Event: id in [4:0], bit 5 from the front end, bit 6 from the pixel engine",
    0x3808 GL_SEMAPHORE_TOKEN "Sends a semaphore token: from in [4:0], to in [12:8]",
    0x380c GL_FLUSH_CACHE "Flushes caches; results of NN jobs need 0xc23 before the CPU reads them",
    0x384c GL_API_MODE "2 = OpenCL; Mesa writes it once",
    0x389c GL_SHADER_INDEX "The vendor writes 0 before each job",
    0x3930 GL_NN_CONFIG "0x10; bits [11:8] must stay 0 (all cores)",
    0x3938 GL_SRAM_REMAP_ADDRESS "Vendor, other chips only",
    0x393c GL_OCB_REMAP_START "First address of the window of AXI SRAM; 0 = none",
    0x3940 GL_OCB_REMAP_END "End of the window of AXI SRAM; 0 = none",
    0x394c GL_TP_CONFIG "0 on this chip",
    0x3950 GL_UNKNOWN_3950 "8 for all parts of some split TP jobs but the last, else 0",
}

/// Name of the state at `address`.
pub fn name(address: u32) -> Option<&'static str> {
    let row = STATES.binary_search_by_key(&address, |s| s.0).ok()?;
    Some(STATES[row].1)
}

/// Address of the state of that name.
pub fn named(name: &str) -> Option<u32> {
    STATES.iter().find(|s| s.1 == name).map(|s| s.0)
}

/// GL_EVENT: signalled by the front end.
pub const EVENT_FROM_FE: u32 = 0x20;
/// GL_EVENT: signalled when all earlier work is done.
pub const EVENT_FROM_PE: u32 = 0x40;
/// GL_FLUSH_CACHE before the CPU reads results: depth, color, shader L1 and bits 10, 11.
pub const FLUSH_RESULTS: u32 = 0xc23;
/// GL_NN_CONFIG as all known users on this chip write it in serial mode (small batch).
pub const NN_CONFIG: u32 = 0x10;
