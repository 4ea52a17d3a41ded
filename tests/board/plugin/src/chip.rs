//! Where the RK3588 has its NPU (rk3588-base.dtsi of Linux), and what surrounds it here.

/// Where one core is.
pub struct Place {
    /// Number of the core.
    pub index: u8,
    /// Its registers.
    pub base: u64,
    /// Shared peripheral interrupt (SPI), of core and IOMMU alike.
    pub interrupt: u32,
    /// Offsets of its IOMMU instances from `base`.
    pub iommus: &'static [u64],
}

/// The cores.
pub const CORES: [Place; 3] = [
    Place {
        index: 0,
        base: 0xfdab_0000,
        interrupt: 110,
        iommus: &[0x9000, 0xa000],
    },
    Place {
        index: 1,
        base: 0xfdac_0000,
        interrupt: 111,
        iommus: &[0xa000],
    },
    Place {
        index: 2,
        base: 0xfdad_0000,
        interrupt: 112,
        iommus: &[0xa000],
    },
];

/// Bytes of a core's registers.
pub const WINDOW: u64 = 0x1_0000;
/// Bytes of an IOMMU instance's registers.
pub const IOMMU_WINDOW: u64 = 0x100;
/// Where QEMU's `virt` machine has RAM.
pub const RAM_BASE: u64 = 0x4000_0000;
/// The board's reset controller, in place of the chip's clock and reset unit.
pub const RESET_BASE: u64 = 0xfd7c_0000;
/// Bytes of the reset controller's registers.
pub const RESET_WINDOW: u64 = 0x1000;
