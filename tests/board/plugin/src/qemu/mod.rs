//! A safe view of the QEMU that has loaded us. All `unsafe` of the crate is in this module.
//!
//! QEMU calls devices under its big lock (BQL). A [`Bql`] stands for holding it: only QEMU's own
//! callbacks have one to lend, so functions that need the lock ask for it, and code on other
//! threads has to go through [`in_main_loop`].

mod abi;
mod memory;
mod symbols;

use std::ffi::{CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use abi::{
    ImplementedAccess, LITTLE_ENDIAN, MachineInitDone, MemoryRegionOps, Opaque, ValidAccess,
};
pub use memory::GuestRam;
pub use symbols::MissingSymbol;
use symbols::symbols;

/// QEMU's big lock is held, for as long as this is borrowed.
pub struct Bql {
    /// Not to be sent to another thread.
    _thread: PhantomData<*const ()>,
}

impl Bql {
    /// # Safety
    /// The big lock must be held by this thread as long as the value lives.
    unsafe fn held() -> Self {
        Self {
            _thread: PhantomData,
        }
    }
}

/// Why the board could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// QEMU is of an unknown kind.
    #[error(transparent)]
    Symbol(#[from] MissingSymbol),
    /// No interrupt controller of the GICv3 kind.
    #[error("the machine has no GICv3: use -M virt,gic-version=3")]
    NoInterruptController,
    /// Nothing at the address where `virt` machines have RAM.
    #[error("no RAM at {0:#x}")]
    NoRam(u64),
    /// Registers read with their bytes swapped.
    #[error("register {address:#x} reads {read:#x} in place of {expected:#x}: another byte order?")]
    ByteOrder {
        /// The register.
        address: u64,
        /// What came.
        read: u32,
        /// What it holds.
        expected: u32,
    },
}

/// A window of 32-bit registers.
pub trait Registers: Send + Sync {
    /// The value at a byte offset from the window's start.
    fn read(&self, bql: &Bql, offset: u64) -> u32;
    /// Stores a value at a byte offset from the window's start.
    fn write(&self, bql: &Bql, offset: u64, value: u32);
}

/// Resolves QEMU's functions. Called once, before anything else here.
pub fn load() -> Result<(), MissingSymbol> {
    symbols::load()
}

/// Calls `ready` once QEMU has built the machine, before the guest's first instruction.
pub fn when_machine_is_ready(ready: impl FnOnce(&Bql) + 'static) {
    extern "C" fn notify(notifier: *mut MachineInitDone, _machine: *mut c_void) {
        // SAFETY: the pointer is the one registered below, which is never freed and which nothing
        // else uses; machine-init-done notifiers run on the main thread under the big lock.
        let (ready, bql) = unsafe { ((*notifier).ready.take(), Bql::held()) };
        if let Some(ready) = ready {
            ready(&bql);
        }
    }
    let notifier = Box::into_raw(Box::new(MachineInitDone {
        notify,
        next: std::ptr::null_mut(),
        previous: std::ptr::null_mut(),
        ready: Some(Box::new(ready)),
    }));
    // SAFETY: the notifier starts with the fields of QEMU's `Notifier` and lives for ever.
    unsafe { (symbols().qemu_add_machine_init_done_notifier)(notifier) }
}

/// Puts a window of registers at a physical address.
pub fn map_registers(_bql: &Bql, name: &str, base: u64, size: u64, registers: Arc<dyn Registers>) {
    extern "C" fn read(registers: *mut c_void, offset: u64, _size: u32) -> u64 {
        // SAFETY: the pointer is the box leaked below; QEMU holds the big lock in accesses to a
        // region of this kind.
        let (registers, bql) = unsafe { (&*registers.cast::<Arc<dyn Registers>>(), Bql::held()) };
        u64::from(registers.read(&bql, offset))
    }
    extern "C" fn write(registers: *mut c_void, offset: u64, value: u64, _size: u32) {
        // SAFETY: as in `read`.
        let (registers, bql) = unsafe { (&*registers.cast::<Arc<dyn Registers>>(), Bql::held()) };
        // Accesses are of 32 bits, so nothing is cut off.
        registers.write(&bql, offset, value as u32);
    }
    let ops = Box::into_raw(Box::new(MemoryRegionOps {
        read,
        write,
        read_with_attrs: std::ptr::null(),
        write_with_attrs: std::ptr::null(),
        endianness: LITTLE_ENDIAN,
        valid: ValidAccess {
            min_access_size: 4,
            max_access_size: 4,
            unaligned: false,
            accepts: std::ptr::null(),
        },
        implemented: ImplementedAccess {
            min_access_size: 4,
            max_access_size: 4,
            unaligned: false,
        },
    }));
    let name = CString::new(name).unwrap_or_default();
    let region = Opaque::leak();
    let registers: *mut Arc<dyn Registers> = Box::into_raw(Box::new(registers));
    // SAFETY: the region has room for a MemoryRegion; region, operations and registers live for
    // ever (QEMU copies the name); the big lock is held.
    unsafe {
        (symbols().memory_region_init_io)(
            region,
            std::ptr::null_mut(),
            ops,
            registers.cast(),
            name.as_ptr(),
            size,
        );
        (symbols().memory_region_add_subregion)((symbols().get_system_memory)(), base, region);
    }
}

/// The register at a physical address as the guest's processor would read it.
pub fn read_physical(_bql: &Bql, address: u64) -> u32 {
    let mut bytes = [0u8; 4];
    // SAFETY: the buffer has the length given; attributes of zero are those of an ordinary access.
    unsafe {
        (symbols().address_space_rw)(
            symbols().address_space_memory as *mut c_void,
            address,
            0,
            bytes.as_mut_ptr().cast(),
            4,
            false,
        );
    }
    u32::from_le_bytes(bytes)
}

/// A line into the interrupt controller.
pub struct Irq(*mut c_void);

// SAFETY: QEMU's interrupt lines belong to no thread; `set` asks for the big lock, which is what
// QEMU guards them with.
unsafe impl Send for Irq {}
// SAFETY: as above.
unsafe impl Sync for Irq {}

impl Irq {
    /// The line of a shared peripheral interrupt (SPI) of the machine's GICv3.
    pub fn shared_peripheral(_bql: &Bql, number: u32) -> Result<Self, BoardError> {
        let mut ambiguous = false;
        // SAFETY: both strings end in NUL; the big lock is held.
        let gic = unsafe {
            (symbols().object_resolve_path_type)(
                c"".as_ptr(),
                c"arm-gicv3-common".as_ptr(),
                &raw mut ambiguous,
            )
        };
        if gic.is_null() {
            return Err(BoardError::NoInterruptController);
        }
        // SAFETY: `gic` is a device, whose unnamed inputs are the shared peripheral interrupts first.
        let line = unsafe { (symbols().qdev_get_gpio_in)(gic, number as c_int) };
        if line.is_null() {
            Err(BoardError::NoInterruptController)
        } else {
            Ok(Self(line))
        }
    }

    /// Drives the line.
    pub fn set(&self, _bql: &Bql, level: bool) {
        // SAFETY: the line is one that QEMU gave out, and lines are never taken away.
        unsafe { (symbols().qemu_set_irq)(self.0, c_int::from(level)) }
    }
}

/// A function and what it owns, on its way through a C pointer.
type Work = Box<dyn FnOnce(&Bql) + Send>;

extern "C" fn run_work(work: *mut c_void) {
    // SAFETY: the pointer comes from `into_raw` in one of the two functions below, and each hands
    // it over once; bottom halves and timers of the main loop run under the big lock.
    let (work, bql) = unsafe { (Box::from_raw(work.cast::<Work>()), Bql::held()) };
    work(&bql);
}

/// Runs `work` in QEMU's main loop, soon; may be called from any thread.
pub fn in_main_loop(work: impl FnOnce(&Bql) + Send + 'static) {
    let work: *mut Work = Box::into_raw(Box::new(Box::new(work)));
    // SAFETY: scheduling is thread-safe by QEMU's documentation; `run_work` takes the box back.
    unsafe {
        (symbols().aio_bh_schedule_oneshot_full)(
            (symbols().qemu_get_aio_context)(),
            run_work,
            work.cast(),
            c"ferrite".as_ptr(),
        );
    }
}

/// The guest's time.
pub fn guest_nanoseconds() -> u64 {
    // SAFETY: reads a clock; QEMU's timers allow that on any thread.
    unsafe { (symbols().qemu_clock_get_ns)(abi::CLOCK_VIRTUAL) }.max(0) as u64
}

/// Runs `work` after that much of the guest's time.
pub fn after(_bql: &Bql, nanoseconds: u64, work: impl FnOnce(&Bql) + Send + 'static) {
    let work: Work = Box::new(work);
    let due = guest_nanoseconds()
        .saturating_add(nanoseconds)
        .min(i64::MAX as u64);
    // The timer's own memory has to outlive its last run, so the callback frees both.
    extern "C" fn fire(state: *mut c_void) {
        // SAFETY: the box made below, handed over once: a timer fires once unless set again.
        let state = unsafe { Box::from_raw(state.cast::<Fire>()) };
        let Fire { timer, work } = *state;
        // SAFETY: QEMU has unlinked a timer before it calls it, and does not look at it afterwards.
        drop(unsafe { Box::from_raw(timer.cast::<Opaque>()) });
        // SAFETY: timers of the main loop run under the big lock.
        work(&unsafe { Bql::held() });
    }
    struct Fire {
        timer: *mut c_void,
        work: Work,
    }
    let timer = Opaque::leak();
    let state = Box::into_raw(Box::new(Fire { timer, work }));
    // SAFETY: the timer has room for a QEMUTimer and lives until `fire` frees it.
    unsafe {
        (symbols().timer_init_full)(
            timer,
            std::ptr::null_mut(),
            abi::CLOCK_VIRTUAL,
            abi::SCALE_NS,
            0,
            fire,
            state.cast(),
        );
        (symbols().timer_mod)(timer, due as i64);
    }
}

/// Runs `work` when QEMU ends. (The plugin interface has a call for this, but what it passes to the
/// callback differs between versions.)
pub fn at_exit(work: impl FnOnce() + Send + 'static) {
    static WORK: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);
    extern "C" fn run() {
        let work = WORK.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(work) = work {
            work();
        }
    }
    unsafe extern "C" {
        fn atexit(function: extern "C" fn()) -> c_int;
    }
    *WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(work));
    // SAFETY: C's own function, with a function of the type it takes, in a library that QEMU never
    // unloads.
    unsafe { atexit(run) };
}

/// The plugin's arguments, `key=value` each.
///
/// # Safety
/// `arguments` must point to `count` strings that end in NUL, as QEMU passes them.
unsafe fn arguments(count: c_int, arguments: *const *const c_char) -> Vec<String> {
    (0..usize::try_from(count).unwrap_or(0))
        .map(|index| {
            // SAFETY: the caller's promise.
            let argument = unsafe { std::ffi::CStr::from_ptr(*arguments.add(index)) };
            argument.to_string_lossy().into_owned()
        })
        .collect()
}

/// The version of the plugin interface that we say we were built for. QEMU accepts a range that
/// moves with its versions, and reads this when it has loaded us; [`choose_version`] has run then.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(1);

/// We use no call of the plugin interface, so any version will do.
extern "C" fn choose_version() {
    let qemu = libloading::os::unix::Library::this();
    // Calls that came with a version that is the oldest some QEMU takes, newest first.
    let markers: [(&[u8], i32); 2] = [
        (b"qemu_plugin_set_pc\0", 7),
        (b"qemu_plugin_scoreboard_new\0", 2),
    ];
    for (marker, version) in markers {
        // SAFETY: only the presence of the symbol is looked at.
        if unsafe { qemu.get::<*const c_void>(marker) }.is_ok() {
            qemu_plugin_version.store(version, std::sync::atomic::Ordering::Relaxed);
            return;
        }
    }
}

/// Run by the dynamic loader before QEMU looks at the version.
#[used]
#[unsafe(link_section = ".init_array")]
static CHOOSE_VERSION: extern "C" fn() = choose_version;

/// QEMU's entry into the plugin.
///
/// # Safety
/// To be called by QEMU only: `argv` points to `argc` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    _id: u64,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: QEMU keeps its promise.
    let arguments = unsafe { arguments(argc, argv) };
    match crate::install(&arguments) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("ferrite-board: {error}");
            -1
        }
    }
}
