//! The functions of QEMU's own that the board calls. QEMU's executable exports them all; a plugin
//! that is loaded into it finds them by name, so nothing is linked against any one version.

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

use libloading::os::unix::Library;

use super::abi::{MachineInitDone, MemoryRegionOps, TimerCallback};

/// `void (*)(void *opaque)`, what a bottom half runs.
pub(super) type BottomHalf = extern "C" fn(*mut c_void);
/// This QEMU lacks a function that the board needs.
#[derive(Debug, thiserror::Error)]
#[error("this QEMU does not export {name}: {source}")]
pub struct MissingSymbol {
    name: &'static str,
    source: libloading::Error,
}

macro_rules! symbols {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// QEMU's functions, by their own names.
        pub(super) struct Symbols {
            $($(#[$doc])* pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// The variable `address_space_memory`: all physical addresses, as a processor or a
            /// device that masters the bus sees them.
            pub(super) address_space_memory: usize,
        }

        impl Symbols {
            fn resolve() -> Result<Self, MissingSymbol> {
                let qemu = Library::this();
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is the one that QEMU's headers declare for this name
                        // in all versions from 7.2 to 11.1.
                        let symbol = unsafe {
                            qemu.get::<unsafe extern "C" fn($($argument),*) $(-> $result)?>(
                                concat!(stringify!($name), "\0").as_bytes(),
                            )
                        };
                        *symbol.map_err(|source| MissingSymbol { name: stringify!($name), source })?
                    },)*
                    address_space_memory: {
                        // SAFETY: a variable, of which only the address is used.
                        let variable = unsafe { qemu.get::<*mut c_void>(b"address_space_memory\0") };
                        let variable = variable.map_err(|source| MissingSymbol {
                            name: "address_space_memory",
                            source,
                        })?;
                        variable.as_raw_ptr() as usize
                    },
                })
            }
        }
    };
}

symbols! {
    /// Calls a notifier once the machine is built.
    fn qemu_add_machine_init_done_notifier(*mut MachineInitDone);
    /// Makes a region whose accesses call back.
    fn memory_region_init_io(*mut c_void, *mut c_void, *const MemoryRegionOps, *mut c_void, *const c_char, u64);
    /// Puts a region into a container.
    fn memory_region_add_subregion(*mut c_void, u64, *mut c_void);
    /// The container of all physical addresses.
    fn get_system_memory() -> *mut c_void;
    /// Finds the object of a type.
    fn object_resolve_path_type(*const c_char, *const c_char, *mut bool) -> *mut c_void;
    /// An input line of a device.
    fn qdev_get_gpio_in(*mut c_void, c_int) -> *mut c_void;
    /// Drives a line.
    fn qemu_set_irq(*mut c_void, c_int);
    /// Reads or writes guest memory or a device. The third argument are attributes, a structure of
    /// bit fields of at most 64 bits that C passes like a number.
    fn address_space_rw(*mut c_void, u64, u64, *mut c_void, u64, bool) -> u32;
    /// A pointer to guest memory; takes the length wanted and gives the length had. The last
    /// argument are attributes.
    fn address_space_map(*mut c_void, u64, *mut u64, bool, u64) -> *mut c_void;
    /// The main loop's context.
    fn qemu_get_aio_context() -> *mut c_void;
    /// Runs a function once in that loop, under the big lock; may be called from any thread.
    fn aio_bh_schedule_oneshot_full(*mut c_void, BottomHalf, *mut c_void, *const c_char);
    /// Prepares a timer.
    fn timer_init_full(*mut c_void, *mut c_void, c_int, c_int, c_int, TimerCallback, *mut c_void);
    /// Sets when a timer fires.
    fn timer_mod(*mut c_void, i64);
    /// The time of a clock in nanoseconds.
    fn qemu_clock_get_ns(c_int) -> i64;
}

static SYMBOLS: OnceLock<Symbols> = OnceLock::new();

/// Looks all functions up; to be called before anything else of this module.
pub(super) fn load() -> Result<(), MissingSymbol> {
    if SYMBOLS.get().is_none() {
        let symbols = Symbols::resolve()?;
        SYMBOLS.get_or_init(|| symbols);
    }
    Ok(())
}

/// The functions; [`load`] was called at installation, before any of the board's code can run.
pub(super) fn symbols() -> &'static Symbols {
    SYMBOLS
        .get()
        .expect("the plugin resolves QEMU's functions when it is installed")
}
