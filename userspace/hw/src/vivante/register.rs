//! Bus registers that the kernel driver (`etnaviv`) touches: byte offsets and names.

/// Declares registers: a constant each, and the table [`REGISTERS`].
macro_rules! registers {
    ($($offset:literal $name:ident $meaning:literal,)*) => {
        $(
            #[doc = concat!($meaning, ".")]
            pub const $name: u32 = $offset;
        )*

        /// All registers by ascending offset: offset, name, meaning.
        pub const REGISTERS: &[(u32, &str, &str)] = &[$(($offset, stringify!($name), $meaning)),*];
    };
}

registers! {
    0x000 HI_CLOCK_CONTROL "Clocks, soft reset, isolation; reads with both idle bits set",
    0x004 HI_IDLE_STATE "One bit per module, 1 = idle; 0x7fffffff when all are",
    0x008 HI_AXI_CONFIG "Cache attributes of bus accesses",
    0x00c HI_AXI_STATUS "Bus errors; read for dumps",
    0x010 HI_INTR_ACKNOWLEDGE "Pending events [29:0], MMU exception (30), bus error (31); reading clears",
    0x014 HI_INTR_ENBL "Which events raise the interrupt line",
    0x018 HI_CHIP_IDENTITY "Family in [31:24]; must not be 1",
    0x01c HI_CHIP_FEATURE "Feature word",
    0x020 HI_CHIP_MODEL "Model",
    0x024 HI_CHIP_REV "Revision",
    0x028 HI_CHIP_DATE "Date",
    0x02c HI_CHIP_TIME "Time",
    0x030 HI_CHIP_CUSTOMER_ID "Customer",
    0x034 HI_CHIP_MINOR_FEATURE_0 "Feature word",
    0x048 HI_CHIP_SPECS "Limits of the shader",
    0x074 HI_CHIP_MINOR_FEATURE_1 "Feature word",
    0x080 HI_CHIP_SPECS_2 "Limits of the shader",
    0x084 HI_CHIP_MINOR_FEATURE_2 "Feature word",
    0x088 HI_CHIP_MINOR_FEATURE_3 "Feature word",
    0x08c HI_CHIP_SPECS_3 "Limits of the shader",
    0x094 HI_CHIP_MINOR_FEATURE_4 "Feature word",
    0x09c HI_CHIP_SPECS_4 "Limits of the shader",
    0x0a0 HI_CHIP_MINOR_FEATURE_5 "Feature word",
    0x0a8 HI_CHIP_PRODUCT_ID "Product",
    0x0e8 HI_CHIP_ECO_ID "Engineering change",
    0x100 PM_POWER_CONTROLS "Clock gating of modules",
    0x104 PM_MODULE_CONTROLS "Modules whose clock is not gated",
    0x10c PM_PULSE_EATER "Clock division",
    0x18c MMUV2_CONTROL "MMU enable outside secure mode; not used on this chip",
    0x380 MMUV2_SEC_EXCEPTION_ADDR "Address that faulted",
    0x384 MMUV2_SEC_STATUS "Kind of fault, a nibble per MMU: 1 no second-level table, 2 no page, 3 write violation",
    0x388 MMUV2_SEC_CONTROL "Bit 0 enables the MMU",
    0x38c MMUV2_PTA_ADDRESS_LOW "Physical address of the page-table array",
    0x390 MMUV2_PTA_ADDRESS_HIGH "Its high part",
    0x394 MMUV2_PTA_CONTROL "Bit 0 enables the page-table array",
    0x398 MMUV2_NONSEC_SAFE_ADDR_LOW "Page that bad accesses go to",
    0x39c MMUV2_SEC_SAFE_ADDR_LOW "Page that bad accesses go to",
    0x3a0 MMUV2_SAFE_ADDRESS_CONFIG "High parts of both",
    0x3a4 MMUV2_SEC_COMMAND_CONTROL "Starts the front end in secure mode: bit 16, prefetch in [15:0]",
    0x3a8 MMUV2_AHB_CONTROL "Bit 0 resets the core, bit 1 allows non-secure access",
    0x450 MC_PROFILE_FE_READ "Counter that the hang check reads",
    0x470 MC_PROFILE_CONFIG0 "Selects that counter",
    0x654 FE_COMMAND_ADDRESS "Where the front end starts",
    0x658 FE_COMMAND_CONTROL "Bit 16 enables, prefetch in [15:0] in 64-bit words",
    0x65c FE_DMA_STATUS "State of command fetch",
    0x660 FE_DMA_DEBUG_STATE "State of command fetch",
    0x664 FE_DMA_ADDRESS "Address that is being fetched",
    0x668 FE_DMA_LOW "Last command word",
    0x66c FE_DMA_HIGH "Last command word",
}

/// HI_CLOCK_CONTROL: reset of the core outside secure mode.
pub const CLOCK_SOFT_RESET: u32 = 1 << 12;
/// HI_CLOCK_CONTROL: the 3D and 2D pipes are idle (read only).
pub const CLOCK_IDLE: u32 = 3 << 16;
/// HI_IDLE_STATE when every module is idle.
pub const ALL_IDLE: u32 = 0x7fff_ffff;
/// HI_IDLE_STATE: the front end is idle.
pub const IDLE_FE: u32 = 1;
/// HI_INTR_ACKNOWLEDGE: MMU exception.
pub const INTR_MMU: u32 = 1 << 30;
/// HI_INTR_ACKNOWLEDGE: bus error.
pub const INTR_BUS: u32 = 1 << 31;
/// FE_COMMAND_CONTROL and MMUV2_SEC_COMMAND_CONTROL: start.
pub const COMMAND_ENABLE: u32 = 1 << 16;
/// MMUV2_AHB_CONTROL: reset of the core.
pub const AHB_RESET: u32 = 1;
/// MMUV2_AHB_CONTROL: allow non-secure access.
pub const AHB_NONSEC_ACCESS: u32 = 2;

/// Name of the register at `offset`.
pub fn name(offset: u32) -> Option<&'static str> {
    let row = REGISTERS.binary_search_by_key(&offset, |r| r.0).ok()?;
    Some(REGISTERS[row].1)
}
