//! The few structures of QEMU's that cross the border, as C lays them out (the same in all versions
//! from 7.2 to 11.1).

use std::ffi::{c_int, c_uint, c_void};

/// Reads `size` bytes at an offset of a region.
pub(super) type ReadCallback = extern "C" fn(*mut c_void, u64, c_uint) -> u64;
/// Writes `size` bytes at an offset of a region.
pub(super) type WriteCallback = extern "C" fn(*mut c_void, u64, u64, c_uint);
/// What a timer runs.
pub(super) type TimerCallback = extern "C" fn(*mut c_void);

/// `MemoryRegionOps.valid`.
#[repr(C)]
pub(super) struct ValidAccess {
    pub(super) min_access_size: c_uint,
    pub(super) max_access_size: c_uint,
    pub(super) unaligned: bool,
    pub(super) accepts: *const c_void,
}

/// `MemoryRegionOps.impl`.
#[repr(C)]
pub(super) struct ImplementedAccess {
    pub(super) min_access_size: c_uint,
    pub(super) max_access_size: c_uint,
    pub(super) unaligned: bool,
}

/// `MemoryRegionOps`.
#[repr(C)]
pub(super) struct MemoryRegionOps {
    pub(super) read: ReadCallback,
    pub(super) write: WriteCallback,
    pub(super) read_with_attrs: *const c_void,
    pub(super) write_with_attrs: *const c_void,
    pub(super) endianness: c_int,
    pub(super) valid: ValidAccess,
    pub(super) implemented: ImplementedAccess,
}

/// `DEVICE_LITTLE_ENDIAN`.
pub(super) const LITTLE_ENDIAN: c_int = 2;

/// What runs once the machine is built.
pub(super) type Ready = Box<dyn FnOnce(&super::Bql)>;

/// A `Notifier`, followed by what ours needs when it is called.
#[repr(C)]
pub(super) struct MachineInitDone {
    pub(super) notify: extern "C" fn(*mut MachineInitDone, *mut c_void),
    pub(super) next: *mut c_void,
    pub(super) previous: *mut c_void,
    /// Ours: QEMU looks at the three fields above only.
    pub(super) ready: Option<Ready>,
}

/// Room for a structure that QEMU itself initialises and whose layout is its own business:
/// `MemoryRegion` has some 300 bytes, `QEMUTimer` 56.
#[repr(C, align(16))]
pub(super) struct Opaque(pub(super) [u8; 4096]);

impl Opaque {
    /// Memory that lives as long as QEMU: devices of a board are never taken away.
    pub(super) fn leak() -> *mut c_void {
        Box::into_raw(Box::new(Self([0; 4096]))).cast()
    }
}

/// `QEMU_CLOCK_VIRTUAL`: the guest's time.
pub(super) const CLOCK_VIRTUAL: c_int = 1;
/// `SCALE_NS`.
pub(super) const SCALE_NS: c_int = 1;
