//! One NPU core on the board: its registers and those of its IOMMU, its interrupt line, and the
//! thread on which it works.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrite_sim::rk3588::iommu::register;
use ferrite_sim::rk3588::mmio::Finished;
use ferrite_sim::rk3588::{Config, Counters, Device, Iommu, Kick};
use ferrite_sim::trace::{self, Event, Recorder};

use crate::chip::{IOMMU_WINDOW, Place};
use crate::options::Options;
use crate::port::{Broken, Gate, Port};
use crate::qemu::{self, Bql, GuestRam, Irq, Registers};
use crate::shared::Shared;
use crate::tracing::Trace;

/// A core.
pub struct NpuCore {
    place: &'static Place,
    device: Mutex<Device>,
    iommus: Vec<Iommu>,
    /// Ends the DMA of the kick that runs.
    gate: Mutex<Gate>,
    irq: Irq,
    /// Rising edges of the line.
    raised: AtomicU64,
    level: Mutex<bool>,
    ram: Arc<GuestRam>,
    work: Sender<Started>,
    trace: Option<Arc<Trace>>,
    shared: Arc<Shared>,
    icount: bool,
}

/// A kick on its way to the core's thread.
struct Started {
    core: Arc<NpuCore>,
    kick: Kick,
    gate: Gate,
    broken: Option<Broken>,
}

/// What a core has done.
pub struct Report {
    /// Number of the core.
    pub core: u8,
    /// Counts of its work.
    pub counters: Counters,
    /// Interrupts on its line, the IOMMU's included.
    pub interrupts: u64,
    /// Page walks of its IOMMU since the last reset.
    pub walks: u64,
    /// Faults of its IOMMU since the last reset.
    pub iommu_faults: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NpuCore {
    /// A core after power-up.
    pub fn new(
        place: &'static Place,
        irq: Irq,
        ram: Arc<GuestRam>,
        trace: Option<Arc<Trace>>,
        shared: Arc<Shared>,
        options: &Options,
    ) -> Arc<Self> {
        let (work, started) = channel::<Started>();
        let thread = std::thread::Builder::new()
            .name(format!("npu{}", place.index))
            .spawn(move || {
                for Started {
                    core,
                    kick,
                    gate,
                    broken,
                } in started
                {
                    let finished = core.execute(kick, &gate, broken);
                    qemu::in_main_loop(move |bql| core.complete(bql, finished));
                }
            });
        if let Err(error) = thread {
            log::error!(
                "core {} has no thread, so its jobs will hang: {error}",
                place.index
            );
        }
        Arc::new(Self {
            place,
            device: Mutex::new(Device::new(Config {
                evidence: options.evidence,
                buffer_outlives_reset: true,
                ..Config::default()
            })),
            iommus: place.iommus.iter().map(|_| Iommu::new()).collect(),
            gate: Mutex::default(),
            irq,
            raised: AtomicU64::new(0),
            level: Mutex::new(false),
            ram,
            work,
            trace,
            shared,
            icount: options.icount,
        })
    }

    /// The reset lines of the core. Its IOMMU goes with it, being part of the core.
    pub fn reset(&self, bql: &Bql) {
        self.record(&Event::Reset {
            core: self.place.index,
        });
        log::info!(
            "core {} reset at {} ns",
            self.place.index,
            qemu::guest_nanoseconds()
        );
        lock(&self.gate).close();
        for iommu in &self.iommus {
            iommu.reset();
        }
        lock(&self.device).reset();
        self.drive(bql);
    }

    /// Figures so far.
    pub fn report(&self) -> Report {
        let (mut walks, mut iommu_faults) = (0, 0);
        for iommu in &self.iommus {
            let counts = iommu.counts();
            walks += counts.0;
            iommu_faults += counts.1;
        }
        Report {
            core: self.place.index,
            counters: *lock(&self.device).counters(),
            interrupts: self.raised.load(Ordering::Relaxed),
            walks,
            iommu_faults,
        }
    }

    fn record(&self, event: &Event) {
        if let Some(trace) = &self.trace {
            trace.event(event);
        }
    }

    /// The IOMMU instance at an offset of the core's window, and the offset in it.
    fn iommu_at(&self, offset: u64) -> Option<(&Iommu, u32)> {
        let found = self
            .place
            .iommus
            .iter()
            .position(|base| (*base..base + IOMMU_WINDOW).contains(&offset))?;
        Some((self.iommus.get(found)?, (offset % IOMMU_WINDOW) as u32))
    }

    /// Starts a kick: on the core's thread, or at once when time counts instructions.
    fn start(self: &Arc<Self>, bql: &Bql, kick: Kick) {
        let gate = Gate::default();
        *lock(&self.gate) = gate.clone();
        let core = Arc::clone(self);
        let broken = self.shared.start();
        if broken == Some(Broken::Core) {
            self.shared.end();
            log::error!("core {} hangs on purpose", self.place.index);
            return;
        }
        if self.icount {
            // How long the host takes must not show: the guest sees the model's estimate.
            let finished = self.execute(kick, &gate, broken);
            let busy = finished.outcome.counters.estimated_ns;
            qemu::after(bql, busy, move |bql| core.complete(bql, finished));
            return;
        }
        let started = Started {
            core,
            kick,
            gate,
            broken,
        };
        if self.work.send(started).is_err() {
            log::error!("core {} has no thread: the job hangs", self.place.index);
        }
    }

    /// Does a kick's work.
    fn execute(&self, kick: Kick, gate: &Gate, broken: Option<Broken>) -> Finished {
        let port = Port {
            iommus: &self.iommus,
            ram: &self.ram,
            gate,
            broken,
        };
        if self.trace.is_none() {
            return kick.execute(&port);
        }
        let started = qemu::guest_nanoseconds();
        let recorder = Recorder::new(&port);
        let finished = kick.execute(&recorder);
        let touched = recorder.finish();
        self.record(&Event::Kick(trace::Kick {
            core: self.place.index,
            started,
            before: touched.before,
            written: touched.written,
            fault: finished
                .outcome
                .fault
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }));
        finished
    }

    /// Takes note of a kick's end.
    fn complete(&self, bql: &Bql, finished: Finished) {
        self.shared.end();
        let mut device = lock(&self.device);
        device.complete(finished);
        self.explain(&mut device);
        drop(device);
        self.drive(bql);
    }

    /// Writes down what went wrong.
    fn explain(&self, device: &mut Device) {
        if let Some(fault) = device.take_fault() {
            log::error!(
                "core {} at {} ns: {fault}",
                self.place.index,
                qemu::guest_nanoseconds()
            );
        }
    }

    /// Sets the interrupt line, which the core shares with its IOMMU.
    fn drive(&self, bql: &Bql) {
        let level = lock(&self.device).irq_level() || self.iommus.iter().any(Iommu::irq_level);
        let before = std::mem::replace(&mut *lock(&self.level), level);
        if level && !before {
            self.raised.fetch_add(1, Ordering::Relaxed);
        }
        self.irq.set(bql, level);
    }
}

impl Registers for Arc<NpuCore> {
    fn read(&self, _bql: &Bql, offset: u64) -> u32 {
        match self.iommu_at(offset) {
            Some((iommu, offset)) => iommu.mmio_read(offset),
            None => lock(&self.device).mmio_read(offset as u32),
        }
    }

    fn write(&self, bql: &Bql, offset: u64, value: u32) {
        match self.iommu_at(offset) {
            Some((_, register::COMMAND))
                if value == register::FORCE_RESET && !self.shared.iommu_resets() =>
            {
                log::error!("an IOMMU of core {} fails on purpose", self.place.index);
            }
            Some((iommu, offset)) => iommu.mmio_write(offset, value),
            None => {
                self.record(&Event::Write {
                    core: self.place.index,
                    offset: offset as u32,
                    value,
                });
                let mut device = lock(&self.device);
                let kick = device.mmio_write(offset as u32, value);
                self.explain(&mut device);
                drop(device);
                if let Some(kick) = kick {
                    self.start(bql, kick);
                }
            }
        }
        self.drive(bql);
    }
}
