// SPDX-License-Identifier: GPL-2.0-only
//! The cores: platform devices that come and go.

use crate::abstractions::{
    fence::Signalling,
    interrupt,
    iommu::{
        IommuId,
        Port, //
    },
    platform,
    power::{
        self,
        Clocks,
        Resets, //
    },
    task,
    work, //
};
use crate::hw::Hardware;
use crate::npu::{Npu, NpuData};
use crate::policy::schedule::{ClientId, MAX_CORES};
use crate::policy::validate::DMA_ERRORS;
use crate::scrub::Scrub;
use crate::space::AddressSpace;
use ::core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use kernel::{
    bindings,
    global_lock,
    impl_has_delayed_work,
    impl_has_work,
    new_delayed_work,
    new_mutex,
    new_work,
    of,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    workqueue::{
        DelayedWork,
        Work,
        WorkItem, //
    }, //
};

const COMPATIBLE: &CStr = c"rockchip,rk3588-rknn-core";
/// Which of the core's clocks is the one of all cores.
const NPU_CLOCK: usize = 2;
/// Microseconds for which the resets are held: at least 32 cycles of the slowest clock, of which none
/// is below 24 MHz.
const RESET_US: usize = 2;
/// Width of the addresses that the IOMMU translates to.
const DMA_BITS: u32 = 40;

#[cfg(linux_7_3)]
kernel::of_device_table!(OF_TABLE, (), [(of::DeviceId::new(COMPATIBLE), ())]);
#[cfg(not(linux_7_3))]
kernel::of_device_table!(OF_TABLE, MODULE_OF_TABLE, (), [(of::DeviceId::new(COMPATIBLE), ())]);

/// What all cores share.
pub(crate) struct Registry {
    /// The device that stands for the NPU as a whole.
    pub(crate) facade: Option<platform::Device>,
    npu: Option<Shared>,
}

/// The NPU, while cores belong to it.
struct Shared {
    npu: ARef<Npu>,
    scrub: Arc<Scrub>,
    /// Cores that belong to it, those included that are not ready yet.
    members: usize,
    /// Whether its node has appeared.
    registered: bool,
}

global_lock! {
    // SAFETY: Initialised by the module before it registers the driver.
    pub(crate) unsafe(uninit) static REGISTRY: Mutex<Registry> = Registry {
        facade: None,
        npu: None,
    };
}

/// One core.
#[pin_data]
pub(crate) struct Core {
    npu: ARef<Npu>,
    index: usize,
    device: platform::Device,
    hw: Hardware,
    clocks: Clocks<4>,
    resets: Resets<2>,
    iommu: IommuId,
    version: AtomicU32,
    /// Used by whoever has the core.
    #[pin]
    port: Mutex<Port<AddressSpace>>,
    /// The IOMMU may have lost its state together with the core's.
    stale: AtomicBool,
    /// The resets are held.
    held: AtomicBool,
    /// Its buffer holds what a client left there.
    dirty: AtomicBool,
    scrub: Arc<Scrub>,
    /// It is out of the scheduler for good.
    gone: AtomicBool,
    #[pin]
    irq: Mutex<Option<interrupt::Registration<Core>>>,
    #[pin]
    work: Work<Core, 0>,
    #[pin]
    watchdog: DelayedWork<Core, 1>,
    #[pin]
    chore: Work<Core, 2>,
}

impl_has_work! {
    impl HasWork<Self, 0> for Core { self.work }
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self, 1> for Core { self.watchdog }
}

impl_has_work! {
    impl HasWork<Self, 2> for Core { self.chore }
}

impl WorkItem<2> for Core {
    type Pointer = Arc<Core>;

    fn run(this: Arc<Core>) {
        this.tell();
        crate::dispatch::reap(&this.npu);
    }
}

impl WorkItem<0> for Core {
    type Pointer = Arc<Core>;

    fn run(this: Arc<Core>) {
        this.service();
    }
}

impl WorkItem<1> for Core {
    type Pointer = Arc<Core>;

    fn run(this: Arc<Core>) {
        this.watch();
    }
}

impl Core {
    /// The NPU.
    pub(crate) fn npu(&self) -> &Npu {
        &self.npu
    }

    /// Place on the chip.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The platform device.
    pub(crate) fn device(&self) -> &platform::Device {
        &self.device
    }

    /// The registers. Only for who keeps the core powered.
    pub(crate) fn hw(&self) -> &Hardware {
        &self.hw
    }

    /// Pulses the resets, which ends all that the core does, and clears its registers and tables.
    /// Only for who has the core.
    pub(crate) fn reset(&self) -> Result {
        {
            // Interrupt handlers look at the registers with the lock held: now they see that they
            // must not.
            let _state = self.npu.state().lock();
            self.held.store(true, Ordering::Relaxed);
        }
        self.resets.pulse(RESET_US).inspect_err(|error| {
            dev_err!(self.device.as_ref(), "reset failed: {error:?}\n");
        })?;
        self.held.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Keeps the core in reset.
    fn hold(&self) {
        {
            let _state = self.npu.state().lock();
            self.held.store(true, Ordering::Relaxed);
        }
        if let Err(error) = self.resets.hold() {
            dev_err!(self.device.as_ref(), "cannot hold the reset: {error:?}\n");
        }
    }

    /// Whether the core is held in reset, where its registers must not be touched.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// The version that the hardware reports.
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// The IOMMU, as it reports faults.
    pub(crate) fn iommu(&self) -> IommuId {
        self.iommu
    }

    /// Hands the core to another client: nothing is left of what the one before did or is still
    /// doing, and then its IOMMU is attached. If that fails the core stays in reset: its IOMMU may
    /// let it address physical memory. Only for who has the core.
    pub(crate) fn hand_over(&self, to: ClientId, space: Arc<AddressSpace>) -> Result {
        let npu = &self.npu;
        self.stale.store(true, Ordering::Relaxed);
        npu.state().lock().sched.set_attached(self.index, None);
        self.clean()
            .and_then(|()| self.port.lock().attach(space))
            .inspect_err(|_| self.hold())?;
        self.dirty.store(true, Ordering::Relaxed);
        self.stale.store(false, Ordering::Relaxed);
        npu.state().lock().sched.set_attached(self.index, Some(to));
        Ok(())
    }

    /// Resets the core, which ends what it does, and overwrites what clients left in its buffer. Only
    /// for who has the core.
    ///
    /// Fences wait for this too, but the IOMMU's part of it cannot be told to lockdep as such: there
    /// is memory waited for with the lock of the device's group held, when the group is made. While a
    /// driver has the device none is.
    fn clean(&self) -> Result {
        self.reset()?;
        if self.dirty.load(Ordering::Relaxed) && crate::params::scrub() {
            let space = self.scrub.space().clone();
            self.port.lock().attach(space)?;
            self.overwrite()?;
            // Of the scrubbing no register is left either.
            self.reset()?;
            self.dirty.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Overwrites the buffer, in the driver's own address space.
    fn overwrite(&self) -> Result {
        let _signalling = Signalling::begin();
        let start = self.scrub.start();
        self.hw.start_muted(start);
        let limit = task::now_ns() + u64::from(crate::params::timeout_ms()) * 1_000_000;
        let mut polls = 0;
        loop {
            let raised = self.hw.interrupts();
            if raised & DMA_ERRORS != 0 {
                return Err(EIO);
            }
            if raised & start.commands.done != 0 {
                self.hw.stop();
                self.hw.mute();
                return Ok(());
            }
            if task::now_ns() > limit {
                return Err(ETIMEDOUT);
            }
            // It takes as long as 384 KiB take to load: some 40 us at 10 GB/s.
            polls += 1;
            if polls < 500 {
                task::delay_us(1);
            } else {
                task::sleep_us(100);
            }
        }
    }

    /// Detaches the IOMMU. Only for who has the core, which does nothing: it was reset, or has no
    /// power.
    pub(crate) fn detach(&self) {
        self.port.lock().detach();
        self.npu
            .state()
            .lock()
            .sched
            .set_attached(self.index, None);
    }

    /// Ends all that the core may still do, and detaches the IOMMU. Only for who has the core.
    pub(crate) fn clear(&self) {
        let powered = self.npu.state().lock().lanes[self.index].powered;
        if powered {
            // It has said what there is to say.
            let _ = self.reset();
        }
        self.detach();
    }

    /// Leaves nothing of any client in the core. Only for who has the core.
    fn vacate(&self) {
        self.clear();
        if !self.dirty.load(Ordering::Relaxed) || power::get(&self.device).is_err() {
            return;
        }
        if let Err(error) = self.clean() {
            dev_err!(
                self.device.as_ref(),
                "what clients left in the core is still there: {error:?}\n"
            );
            self.hold();
        }
        self.port.lock().detach();
        power::put(&self.device);
    }

    /// Whether the IOMMU must be attached anew.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Gives back a core that was reserved, and starts what has come meanwhile.
    pub(crate) fn give_back(self: &Arc<Self>) {
        {
            let mut state = self.npu.state().lock();
            state.sched.release(self.index);
            self.npu.announce(&state);
        }
        self.launch();
    }

    fn first_contact(&self) -> Result {
        power::get(&self.device)?;
        let version = self.hw.version();
        power::put(&self.device);
        self.version.store(version, Ordering::Relaxed);
        dev_info!(
            self.device.as_ref(),
            "NPU core {} version {version:#x}\n",
            self.index
        );
        Ok(())
    }

    /// Raises the clock of all cores if this is the first one with power.
    fn raise(&self) {
        let mut clock = self.npu.clock().lock();
        let Some(wanted) = clock.raise() else { return };
        if let Err(error) = self.clocks.set_rate(NPU_CLOCK, wanted) {
            dev_err!(
                self.device.as_ref(),
                "cannot set the clock to {wanted} Hz: {error:?}\n"
            );
        }
        let rate = self.clocks.rate(NPU_CLOCK);
        clock.settle(rate);
        self.npu.note_rate(rate);
    }

    /// Gives the clock its old rate if this is the last core with power.
    fn park(&self) {
        if let Some(rate) = self.npu.clock().lock().park() {
            if let Err(error) = self.clocks.set_rate(NPU_CLOCK, rate) {
                dev_err!(
                    self.device.as_ref(),
                    "cannot set the clock to {rate} Hz: {error:?}\n"
                );
            }
        }
    }

    /// Waits until nobody has the core, and keeps it.
    fn take_over(&self) {
        let npu = &self.npu;
        npu.state().lock().sched.accept(self.index, false);
        npu.wait_for(|state| state.sched.reserve(self.index));
    }
}

/// The NPU that a new core joins, with the rate that the clock has now. Undo with [`part`].
fn join(device: &platform::Device, rate: u64) -> Result<(ARef<Npu>, Arc<Scrub>)> {
    let mut registry = REGISTRY.lock();
    if let Some(shared) = &mut registry.npu {
        shared.members += 1;
        return Ok((shared.npu.clone(), shared.scrub.clone()));
    }
    let facade = registry.facade.as_ref().ok_or(ENODEV)?;
    facade.set_dma(DMA_BITS)?;
    let npu = Npu::new(facade, NpuData::new(rate))?;
    let scrub = Scrub::new(&npu, device)?;
    registry.npu = Some(Shared {
        npu: npu.clone(),
        scrub: scrub.clone(),
        members: 1,
        registered: false,
    });
    Ok((npu, scrub))
}

/// A core has left. With the last one goes the NPU: from then on system calls fail, and the jobs that
/// wait for others are cancelled when those have ended.
fn part() {
    let mut registry = REGISTRY.lock();
    let Some(shared) = &mut registry.npu else {
        return;
    };
    shared.members -= 1;
    if shared.members > 0 {
        return;
    }
    if let Some(shared) = registry.npu.take() {
        // A core that comes meanwhile makes another NPU.
        drop(registry);
        if shared.registered {
            shared.npu.unplug();
        }
    }
}

impl platform::Driver for Core {
    const NAME: &'static CStr = c"ferrite";

    fn of_table() -> *const bindings::of_device_id {
        const TABLE: of::IdTable<()> = &OF_TABLE;
        TABLE.as_ptr().cast()
    }

    fn probe(device: platform::Device) -> Result<Arc<Self>> {
        let index = device.position_among(COMPATIBLE)?;
        if index >= MAX_CORES {
            dev_err!(device.as_ref(), "core {index} is one too many\n");
            return Err(EINVAL);
        }
        device.set_dma(DMA_BITS)?;
        let resets = Resets::new(&device, [c"srst_a", c"srst_h"])?;
        let clocks = Clocks::new(&device, [c"aclk", c"hclk", c"npu", c"pclk"])?;
        let hw = Hardware::new(&device, index)?;
        let port = Port::new(&device)?;
        let iommu = port.iommu();
        let (npu, scrub) = join(&device, clocks.rate(NPU_CLOCK))?;
        let core = Arc::pin_init(
            pin_init!(Core {
                npu,
                index,
                device,
                hw,
                clocks,
                resets,
                iommu,
                version: AtomicU32::new(0),
                port <- new_mutex!(port, "Core::port"),
                stale: AtomicBool::new(false),
                held: AtomicBool::new(false),
                dirty: AtomicBool::new(false),
                scrub,
                gone: AtomicBool::new(false),
                irq <- new_mutex!(None, "Core::irq"),
                work <- new_work!("Core::work"),
                watchdog <- new_delayed_work!("Core::watchdog"),
                chore <- new_work!("Core::chore"),
            }),
            GFP_KERNEL,
        );
        core.inspect_err(|_| part())
    }

    fn start(this: &Arc<Self>) -> Result {
        this.appear().inspect_err(|_| part())?;
        // There may be jobs that were waiting for a core.
        this.launch();
        Ok(())
    }

    fn remove(this: &Arc<Self>) {
        this.disappear();
        // Fence callbacks and interrupts that saw this core are over.
        task::wait_for_rcu();
        this.npu.queue().flush();
    }

    fn lost(this: &Arc<Self>) {
        dev_err!(this.device.as_ref(), "does not wake up: the core is lost\n");
        // It was kept when the system went to sleep.
        this.npu.state().lock().sched.release(this.index);
        this.disappear();
    }

    fn power_off(&self) -> Result {
        self.park();
        self.clocks.disable();
        Ok(())
    }

    fn power_on(&self) -> Result {
        self.clocks.enable()?;
        if self.is_held() || self.hw.needs_reset() {
            self.reset().inspect_err(|_| self.clocks.disable())?;
            self.stale.store(true, Ordering::Relaxed);
        }
        self.raise();
        Ok(())
    }

    fn suspend(&self) -> Result {
        if self.gone.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.take_over();
        if ::core::mem::take(&mut self.npu.state().lock().lanes[self.index].powered) {
            power::put(&self.device);
        }
        Ok(())
    }

    fn resume(this: &Arc<Self>) {
        if !this.gone.load(Ordering::Relaxed) {
            this.npu.state().lock().sched.accept(this.index, true);
            this.give_back();
        }
    }
}

impl Core {
    /// Shows the core to the scheduler, and the NPU to everybody if it is its first.
    fn appear(self: &Arc<Self>) -> Result {
        self.first_contact()?;
        let irq = interrupt::Registration::new(&self.device, self.clone())?;
        *self.irq.lock() = Some(irq);
        {
            let mut state = self.npu.state().lock();
            state.lanes[self.index].core = Some(self.clone());
            state.sched.add_core(self.index);
        }
        let mut registry = REGISTRY.lock();
        // As long as this core belongs to it, the NPU is the one of the registry.
        let Some(shared) = registry.npu.as_mut().filter(|shared| !shared.registered) else {
            return Ok(());
        };
        let registered = self.npu.register();
        shared.registered = registered.is_ok();
        drop(registry);
        registered.inspect_err(|_| self.leave())
    }

    /// Takes the core from the scheduler, unless that was done, and the NPU away if it was its last.
    fn disappear(self: &Arc<Self>) {
        if self.gone.swap(true, Ordering::Relaxed) {
            return;
        }
        self.leave();
        part();
        crate::dispatch::end_cancelled(&self.npu);
        crate::dispatch::reap(&self.npu);
    }

    /// Ends all work on the core, for good.
    fn leave(self: &Arc<Self>) {
        self.take_over();
        self.stop_watching();
        self.irq.lock().take();
        self.vacate();
        let lane = {
            let mut state = self.npu.state().lock();
            state.sched.remove_core(self.index);
            state.sched.cancel_stranded();
            ::core::mem::take(&mut state.lanes[self.index])
        };
        // What it has to drop is not for under the lock; the caller has a reference to the core too.
        let powered = lane.powered;
        drop(lane);
        // What was queued before, and what that queued: nothing does any more.
        work::cancel::<_, 0>(self);
        work::cancel::<_, 2>(self);
        if powered {
            power::put(&self.device);
        }
        crate::dispatch::end_cancelled(&self.npu);
    }
}
