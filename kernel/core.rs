// SPDX-License-Identifier: GPL-2.0-only
//! The cores: platform devices that come and go.

use crate::abstractions::{
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
    task, //
};
use crate::hw::Hardware;
use crate::npu::{Npu, NpuData};
use crate::policy::schedule::MAX_CORES;
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
    npu: Option<ARef<Npu>>,
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
    #[pin]
    irq: Mutex<Option<interrupt::Registration<Core>>>,
    #[pin]
    work: Work<Core, 0>,
    #[pin]
    watchdog: DelayedWork<Core, 1>,
}

impl_has_work! {
    impl HasWork<Self, 0> for Core { self.work }
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self, 1> for Core { self.watchdog }
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

    /// The resets.
    pub(crate) fn resets(&self) -> &Resets<2> {
        &self.resets
    }

    /// The version that the hardware reports.
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// The IOMMU, as it reports faults.
    pub(crate) fn iommu(&self) -> IommuId {
        self.iommu
    }

    /// Attaches the IOMMU. Only for who has the core.
    pub(crate) fn attach(&self, space: Arc<AddressSpace>) -> Result {
        self.port.lock().attach(space)
    }

    /// Detaches the IOMMU. Only for who has the core.
    pub(crate) fn detach(&self) {
        self.port.lock().detach();
        self.npu
            .state()
            .lock()
            .sched
            .set_attached(self.index, None);
    }

    /// Whether the IOMMU must be attached anew.
    pub(crate) fn take_stale(&self) -> bool {
        self.stale.swap(false, Ordering::Relaxed)
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

    /// Waits until nobody has the core, and keeps it.
    fn take_over(&self) {
        let npu = &self.npu;
        npu.state().lock().sched.accept(self.index, false);
        npu.wait_for(None, |state| state.sched.reserve(self.index));
    }
}

/// The NPU that a new core joins.
fn join() -> Result<ARef<Npu>> {
    let mut registry = REGISTRY.lock();
    if let Some(npu) = &registry.npu {
        return Ok(npu.clone());
    }
    let facade = registry.facade.as_ref().ok_or(ENODEV)?;
    facade.set_dma(DMA_BITS)?;
    let npu = Npu::new(facade, NpuData::new())?;
    registry.npu = Some(npu.clone());
    Ok(npu)
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
        let npu = join()?;
        Arc::pin_init(
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
                irq <- new_mutex!(None, "Core::irq"),
                work <- new_work!("Core::work"),
                watchdog <- new_delayed_work!("Core::watchdog"),
            }),
            GFP_KERNEL,
        )
    }

    fn start(this: &Arc<Self>) -> Result {
        this.first_contact()?;
        let irq = interrupt::Registration::new(&this.device, this.clone())?;
        *this.irq.lock() = Some(irq);
        let mut registry = REGISTRY.lock();
        let first = {
            let mut state = this.npu.state().lock();
            let first = state.sched.present() == 0;
            state.lanes[this.index].core = Some(this.clone());
            state.sched.add_core(this.index);
            first
        };
        if !first {
            drop(registry);
            // There may be jobs that were waiting for a core.
            this.launch();
            return Ok(());
        }
        let registered = this.npu.register();
        if registered.is_err() {
            registry.npu = None;
            drop(registry);
            this.leave();
        }
        registered
    }

    fn remove(this: &Arc<Self>) {
        this.leave();
        let mut registry = REGISTRY.lock();
        let last = {
            let state = this.npu.state().lock();
            state.sched.present() == 0
        };
        if last {
            registry.npu = None;
        }
        drop(registry);
        if last {
            // From now on system calls fail; the jobs that wait for others are cancelled when those
            // have ended.
            this.npu.unplug();
        }
        crate::dispatch::end_cancelled(&this.npu);
        crate::dispatch::reap(&this.npu);
        // Fence callbacks and interrupts that saw this core are over.
        task::wait_for_rcu();
        this.npu.queue().flush();
    }

    fn power_off(&self) -> Result {
        self.clocks.disable();
        Ok(())
    }

    fn power_on(&self) -> Result {
        self.clocks.enable()?;
        if self.hw.needs_reset() {
            self.resets
                .pulse(10)
                .inspect_err(|_| self.clocks.disable())?;
            self.stale.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn suspend(&self) -> Result {
        self.take_over();
        if ::core::mem::take(&mut self.npu.state().lock().lanes[self.index].powered) {
            power::put(&self.device);
        }
        Ok(())
    }

    fn resume(this: &Arc<Self>) {
        this.npu.state().lock().sched.accept(this.index, true);
        this.give_back();
    }

}

impl Core {
    /// Ends all work on the core, for good.
    fn leave(self: &Arc<Self>) {
        self.take_over();
        self.stop_watching();
        self.irq.lock().take();
        self.detach();
        let powered = {
            let mut state = self.npu.state().lock();
            state.sched.remove_core(self.index);
            state.sched.cancel_stranded();
            let lane = ::core::mem::take(&mut state.lanes[self.index]);
            lane.powered
            // The caller has a reference to the core too.
        };
        if powered {
            power::put(&self.device);
        }
        crate::dispatch::end_cancelled(&self.npu);
    }
}
