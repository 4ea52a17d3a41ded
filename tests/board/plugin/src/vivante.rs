//! The A311D's NPU on the board: registers, interrupt line, and the thread on which jobs run.
//!
//! Its front end is never told that there is work: it polls a ring in memory. Here a timer of the
//! guest's clock does that, less often than the chip would.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrite_sim::trace::Event;
use ferrite_sim::vivante::device::{Finished, Started};
use ferrite_sim::vivante::{Config, Counters, Device, Next};
use serde_json::json;

use crate::port::{Broken, Gate, Gated};
use crate::qemu::{self, Bql, GuestRam, Irq, Registers};
use crate::shared::Shared;
use crate::tracing::Trace;

/// Registers of the NPU (meson-g12-common.dtsi).
pub const BASE: u64 = 0xff10_0000;
/// Bytes of its registers.
pub const WINDOW: u64 = 0x2_0000;
/// Its shared peripheral interrupt.
pub const INTERRUPT: u32 = 147;

/// Nanoseconds between two looks at the ring; the chip's 30 us would keep the host busy.
const POLL: u64 = 200_000;

/// The NPU.
pub struct Vivante {
    device: Mutex<Device>,
    /// Ends the memory accesses of the job that runs.
    gate: Mutex<Gate>,
    irq: Irq,
    level: Mutex<bool>,
    /// Rising edges of the line.
    raised: AtomicU64,
    /// Number of the last start of the front end: timers of earlier ones do nothing.
    epoch: AtomicU64,
    ram: Arc<GuestRam>,
    work: Sender<(Arc<Vivante>, Started, Gate, u64)>,
    shared: Shared,
    trace: Option<Arc<Trace>>,
    icount: bool,
}

/// An address that the kernel driver gives to no buffer.
const UNMAPPED: u32 = 0xffff_f000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Vivante {
    /// The NPU after power-up, whose jobs go wrong as `shared` says.
    pub fn new(
        irq: Irq,
        ram: Arc<GuestRam>,
        shared: Shared,
        trace: Option<Arc<Trace>>,
        icount: bool,
    ) -> Arc<Self> {
        let (work, started) = channel::<(Arc<Vivante>, Started, Gate, u64)>();
        let thread = std::thread::Builder::new()
            .name("npu".to_owned())
            .spawn(move || {
                for (npu, job, gate, epoch) in started {
                    let finished = npu.execute(job, &gate);
                    qemu::in_main_loop(move |bql| npu.complete(bql, finished, epoch));
                }
            });
        if let Err(error) = thread {
            log::error!("the NPU has no thread, so its jobs will hang: {error}");
        }
        Arc::new(Self {
            device: Mutex::new(Device::new(Config::default())),
            gate: Mutex::default(),
            irq,
            level: Mutex::new(false),
            raised: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            ram,
            work,
            shared,
            trace,
            icount,
        })
    }

    /// Counts so far, as JSON.
    pub fn stats(&self) -> String {
        let counters: Counters = *lock(&self.device).counters();
        let stats = json!({
            "soc": "a311d",
            "cores": [{
                "core": 0,
                "events": counters.submissions,
                "interrupts": self.raised.load(Ordering::Relaxed),
                "nn_jobs": counters.nn_jobs,
                "tp_jobs": counters.tp_jobs,
                "faults": counters.faults,
                "bytes": {
                    "commands": counters.command_bytes,
                    "descriptors": counters.descriptor_bytes,
                    "coefficients": counters.coefficient_bytes,
                    "images": counters.image_bytes,
                    "output": counters.output_bytes,
                    "tp_read": counters.tp_read_bytes,
                    "tp_write": counters.tp_write_bytes,
                },
                "macs": counters.macs,
                "mac_cycles": counters.mac_cycles,
                "symbols": counters.symbols,
                "dropped_kernels": counters.dropped_kernels,
                "estimated_ns": counters.estimated_ns,
            }],
        });
        format!("{stats:#}\n")
    }

    /// Runs the front end until it waits for a job, for time to pass, or for the driver.
    fn pump(self: &Arc<Self>, bql: &Bql, epoch: u64) {
        if self.epoch.load(Ordering::Relaxed) != epoch {
            return;
        }
        let gate = lock(&self.gate).clone();
        let memory = Gated {
            ram: &self.ram,
            gate: &gate,
        };
        loop {
            let next = lock(&self.device).next(&memory);
            match next {
                Next::Continue => {}
                Next::Idle => break,
                Next::Wait(_) => {
                    let npu = Arc::clone(self);
                    qemu::after(bql, POLL, move |bql| npu.pump(bql, epoch));
                    break;
                }
                Next::Job(job) => {
                    self.start(bql, job, gate, epoch);
                    break;
                }
            }
        }
        self.explain();
        self.drive(bql);
    }

    /// Starts a job, which may be one that goes wrong on purpose.
    fn start(self: &Arc<Self>, bql: &Bql, job: Started, gate: Gate, epoch: u64) {
        let broken = self.shared.start();
        self.shared.end();
        if broken == Some(Broken::Core) {
            log::error!("the NPU hangs on purpose");
            lock(&self.device).hang();
            return;
        }
        if broken.is_some() {
            let finished = job.without_page(UNMAPPED);
            let npu = Arc::clone(self);
            qemu::after(bql, POLL, move |bql| npu.complete(bql, finished, epoch));
            return;
        }
        if self.icount {
            // How long the host takes must not show: the guest sees the estimate.
            let finished = self.execute(job, &gate);
            let npu = Arc::clone(self);
            let busy = finished.estimated_ns();
            qemu::after(bql, busy, move |bql| npu.complete(bql, finished, epoch));
            return;
        }
        let work = (Arc::clone(self), job, gate, epoch);
        if self.work.send(work).is_err() {
            log::error!("the NPU has no thread: the job hangs");
        }
    }

    fn execute(&self, job: Started, gate: &Gate) -> Finished {
        let memory = Gated {
            ram: &self.ram,
            gate,
        };
        let Some(trace) = &self.trace else {
            return job.execute(&memory);
        };
        let (finished, traced) = job.execute_traced(&memory, qemu::guest_nanoseconds());
        trace.event(&Event::Job(traced));
        finished
    }

    /// Takes note of a job's end, and goes on.
    fn complete(self: &Arc<Self>, bql: &Bql, finished: Finished, epoch: u64) {
        lock(&self.device).complete(finished);
        self.explain();
        self.drive(bql);
        self.pump(bql, epoch);
    }

    /// Writes down what went wrong.
    fn explain(&self) {
        if let Some(fault) = lock(&self.device).take_fault() {
            log::error!("NPU at {} ns: {fault}", qemu::guest_nanoseconds());
        }
    }

    fn drive(&self, bql: &Bql) {
        let level = lock(&self.device).interrupt();
        let before = std::mem::replace(&mut *lock(&self.level), level);
        if level && !before {
            self.raised.fetch_add(1, Ordering::Relaxed);
        }
        self.irq.set(bql, level);
    }
}

impl Registers for Arc<Vivante> {
    fn read(&self, bql: &Bql, offset: u64) -> u32 {
        let value = lock(&self.device).read(offset as u32);
        self.drive(bql);
        value
    }

    fn write(&self, bql: &Bql, offset: u64, value: u32) {
        let mut device = lock(&self.device);
        let generation = device.generation();
        let started = device.write(offset as u32, value);
        let reset = device.generation() != generation;
        drop(device);
        if reset {
            if let Some(trace) = &self.trace {
                trace.event(&Event::Reset { core: 0 });
            }
            // The memory accesses of a job that still runs end here.
            std::mem::take(&mut *lock(&self.gate)).close();
        }
        if started || reset {
            let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
            if started {
                self.pump(bql, epoch);
            }
        }
        self.drive(bql);
    }
}
