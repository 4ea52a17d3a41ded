// SPDX-License-Identifier: GPL-2.0-only
//! The NPU: one device for all its cores.

use crate::abstractions::{
    drm,
    gem::Object,
    iommu::Fault,
    irq_lock::{
        new_irq_lock,
        IrqGuard,
        IrqLock, //
    },
    print::Printer,
    task,
    work::OwnQueue, //
};
use crate::batch::{Batch, JobRef};
use crate::buffer::Buffer;
use crate::client::Client;
use crate::core::Core;
use crate::recovery::Report;
use crate::policy::{
    clock::Clock,
    quota::Shares,
    schedule::{
        Claim,
        Scheduler,
        MAX_CORES, //
    }, //
};
use ::core::sync::atomic::{AtomicU64, Ordering};
use kernel::{
    new_condvar,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        CondVar,
        CondVarTimeoutResult,
        Mutex, //
    },
    time::Jiffies, //
};

/// Jobs that can be queued at a time, over all clients.
const MAX_JOBS: u32 = 4096;
/// Jobs of one client that can be queued at a time, unless one submission has more.
pub(crate) const MAX_JOBS_PER_CLIENT: u32 = 2048;
/// Files that can be open at a time.
const MAX_CLIENTS: u32 = 1024;

/// The driver.
pub(crate) struct Ferrite;

/// The device.
pub(crate) type Npu = drm::Device<Ferrite>;

/// Why a core was taken away from its job.
#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// A task took longer than its budget.
    Timeout,
    /// The IOMMU refused an access.
    Fault(Fault),
    /// The core reported failed DMA: the raw interrupt bits.
    Dma(u32),
    /// The core is needed, and the job cannot be interrupted.
    Taken,
}

/// A core and what only its owner in the scheduler's sense may change.
#[derive(Default)]
pub(crate) struct Lane {
    /// The core, while it is there.
    pub(crate) core: Option<Arc<Core>>,
    /// Whether the core is kept powered.
    pub(crate) powered: bool,
    /// When its last job ended.
    pub(crate) idle_since: u64,
    /// Whether the watchdog is queued.
    pub(crate) watched: bool,
    /// A claimed job that the service work is to start.
    pub(crate) claim: Option<Claim>,
    /// A job that the service work is to end.
    pub(crate) cause: Option<Cause>,
    /// What is to be told of the last of them.
    pub(crate) report: Option<Report>,
    /// Jobs that were ended by force.
    pub(crate) resets: u64,
    /// Interrupts of the core that no task had asked for.
    pub(crate) spurious: u64,
}

/// What the scheduler's lock protects.
pub(crate) struct State {
    /// The scheduler.
    pub(crate) sched: Scheduler<JobRef>,
    /// Who has how much.
    pub(crate) shares: Shares,
    /// The cores, by their place on the chip.
    pub(crate) lanes: [Lane; MAX_CORES],
    /// Batches to be dropped in process context.
    pub(crate) retired: Option<Arc<Batch>>,
    /// Number of those who wait for `changed`.
    pub(crate) waiters: u32,
}

/// The device's data.
#[pin_data]
pub(crate) struct NpuData {
    #[pin]
    clock: Mutex<Clock>,
    /// Hertz of the clock while cores work.
    rate: AtomicU64,
    queue: OwnQueue,
    chores: OwnQueue,
    #[pin]
    state: IrqLock<State>,
    #[pin]
    changed: CondVar,
}

impl NpuData {
    /// For a new device whose clock has `rate` hertz.
    pub(crate) fn new(rate: u64) -> impl PinInit<Self, Error> {
        try_pin_init!(NpuData {
            clock <- new_mutex!(
                Clock::new(rate, crate::params::clock_mhz() * 1_000_000),
                "NpuData::clock"
            ),
            rate: AtomicU64::new(rate),
            queue: OwnQueue::urgent(c"ferrite")?,
            chores: OwnQueue::ordinary(c"ferrite-chores")?,
            state <- new_irq_lock!(
                State {
                    sched: Scheduler::new(MAX_JOBS, MAX_CLIENTS)?,
                    shares: Shares::new(
                        MAX_CLIENTS,
                        MAX_JOBS,
                        task::ram_bytes() / 100 * crate::params::memory_percent(),
                    )?,
                    lanes: core::array::from_fn(|_| Lane::default()),
                    retired: None,
                    waiters: 0,
                },
                c"NpuData::state"
            ),
            changed <- new_condvar!("NpuData::changed"),
        }? Error)
    }

    /// The clock of all cores.
    pub(crate) fn clock(&self) -> &Mutex<Clock> {
        &self.clock
    }

    /// Hertz of the clock while cores work.
    pub(crate) fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }

    /// The clock has got another rate.
    pub(crate) fn note_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// What the scheduler's lock protects.
    pub(crate) fn state(&self) -> &IrqLock<State> {
        &self.state
    }

    /// Where that is done which fences do not wait for, and which may wait for memory and for locks
    /// of others.
    pub(crate) fn chores(&self) -> &OwnQueue {
        &self.chores
    }

    /// Where that is done which fences wait for.
    pub(crate) fn queue(&self) -> &OwnQueue {
        &self.queue
    }

    /// The cores that are there.
    pub(crate) fn cores(&self) -> [Option<Arc<Core>>; MAX_CORES] {
        let state = self.state.lock();
        core::array::from_fn(|index| state.lanes[index].core.clone())
    }

    /// A core that is there.
    pub(crate) fn any_core(&self) -> Option<Arc<Core>> {
        self.cores().into_iter().flatten().next()
    }

    /// Tells those who wait that jobs have ended.
    pub(crate) fn announce(&self, state: &State) {
        if state.waiters > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits until `ready` says so. Not interruptible: of use where that takes some tasks' time.
    pub(crate) fn wait_for(&self, mut ready: impl FnMut(&mut State) -> bool) {
        let mut state = self.state.lock();
        while !ready(&mut state) {
            state.waiters += 1;
            self.changed.wait(&mut state);
            state.waiters -= 1;
        }
    }

    /// Waits until `ready` says so, at most `left` jiffies, and not while the task is being killed.
    /// Other signals change nothing.
    pub(crate) fn linger(&self, mut left: Jiffies, mut ready: impl FnMut(&mut State) -> bool) {
        let mut state = self.state.lock();
        while left > 0 && !task::is_killed() && !ready(&mut state) {
            state.waiters += 1;
            let woken = self.changed.wait_interruptible_timeout(&mut state, left);
            state.waiters -= 1;
            left = match woken {
                CondVarTimeoutResult::Woken { jiffies } => jiffies,
                CondVarTimeoutResult::Timeout => 0,
                CondVarTimeoutResult::Signal { jiffies } => {
                    // As long as it is pending, interruptible waits end at once.
                    drop(state);
                    task::sleep_jiffy();
                    state = self.state.lock();
                    jiffies.saturating_sub(1)
                }
            };
        }
    }

    /// Waits until `ready` gives something, at most `jiffies`; `None` if it does not.
    /// Interruptible.
    pub(crate) fn wait_until<R>(
        &self,
        mut jiffies: Jiffies,
        mut ready: impl FnMut(&mut State) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let mut state = self.state.lock();
        loop {
            let result = ready(&mut state)?;
            if result.is_some() || jiffies == 0 {
                return Ok(result);
            }
            state.waiters += 1;
            let woken = self.changed.wait_interruptible_timeout(&mut state, jiffies);
            state.waiters -= 1;
            jiffies = match woken {
                CondVarTimeoutResult::Woken { jiffies } => jiffies,
                CondVarTimeoutResult::Timeout => 0,
                CondVarTimeoutResult::Signal { .. } => return Err(ERESTARTSYS),
            };
        }
    }

    /// Waits until `ready` gives something. Interruptible.
    pub(crate) fn wait_interruptible(
        &self,
        mut ready: impl FnMut(&mut State) -> Result<bool>,
    ) -> Result {
        let mut state = self.state.lock();
        while !ready(&mut state)? {
            state.waiters += 1;
            let signal = self.changed.wait_interruptible(&mut state);
            state.waiters -= 1;
            if signal {
                return Err(ERESTARTSYS);
            }
        }
        Ok(())
    }
}

/// The scheduler's lock, held.
pub(crate) type StateGuard<'a> = IrqGuard<'a, State>;

impl drm::Driver for Ferrite {
    /// The version is mainline's: others than ours go by it.
    const INFO: (&'static CStr, &'static CStr, [i32; 3]) =
        (c"rocket", c"Rockchip NPU (Ferrite)", [0, 0, 0]);
    type Data = NpuData;
    type File = Client;
    type Buffer = Buffer;
    const IOCTLS: &'static [kernel::bindings::drm_ioctl_desc] = crate::ioctl::TABLE;
    const DEBUGFS: &'static [drm::DebugfsFile<Self>] = crate::observe::DEBUGFS;

    fn open(device: &Npu, id: u64) -> Result<Arc<Client>> {
        Client::new(device, id)
    }

    fn close(file: Arc<Client>) {
        file.close();
    }

    fn buffer() -> impl PinInit<Buffer, Error> {
        Buffer::new()
    }

    fn buffer_freed(device: &Npu, buffer: &Buffer) {
        buffer.discharge(device);
    }

    fn handle_opened(file: &Client, object: &Object<Self>) -> Result {
        file.add_handle(object)
    }

    fn handle_closed(file: &Client, object: &Object<Self>) {
        file.drop_handle(object);
    }

    fn fdinfo(file: &Client, printer: &Printer) {
        crate::observe::fdinfo(file, printer);
    }
}
