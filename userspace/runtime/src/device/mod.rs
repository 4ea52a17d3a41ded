//! What an executable can run on: the simulators and the NPUs behind DRM nodes.

mod drm;
pub mod etnaviv;
mod priority;
pub mod rocket;
mod schedule;
mod sim;
pub mod sim_a311d;
pub mod sim_rk3588;
mod spec;
mod survey;

pub use priority::{Priority, UnknownPriority};
pub use spec::{DeviceSpec, UnknownDevice};
pub use survey::{Candidate, open, survey};

use ferrite_compiler::content::Content;
use ferrite_compiler::executable::{BufferId, Executable, Job, Region, RelocationKind, Target};
use ferrite_ir::PrimaryMap;
use ferrite_process::{Process, opened_before_fork};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Something that runs the jobs of executables.
pub trait Device: Send {
    /// The name that opens it again, such as `sim:rk3588`.
    fn name(&self) -> String;
    /// Which NPU it is.
    fn target(&self) -> Target;
    /// The very device and its driver: another one may get the same name.
    fn identity(&self) -> String {
        self.name()
    }
    /// Cores that the jobs of one submission are spread over.
    fn cores(&self) -> usize;
    /// The NPU's clock in MHz, if it is known to be another than the cost model's.
    fn clock_mhz(&self) -> Option<NonZeroU32> {
        None
    }
    /// How the jobs of programs that are loaded from now on stand to those of others.
    ///
    /// # Errors
    /// If the driver knows no priorities and the one asked for is not the usual one.
    fn set_priority(&mut self, priority: Priority) -> Result<(), DeviceError> {
        priority.expect_normal(&self.name())
    }
    /// Allocates the buffers of `executable`, writes its constants and relocated commands.
    fn load(&self, executable: &Executable) -> Result<Box<dyn Program>, DeviceError>;
}

/// An executable's buffers on a device.
pub trait Program: Send {
    /// Gives the host bytes of `region` to `fill`, which replaces them.
    fn write(&mut self, region: Region, fill: &mut dyn FnMut(&mut [u8]))
    -> Result<(), DeviceError>;
    /// Gives the device's bytes of `region` to `take`.
    fn read(&mut self, region: Region, take: &mut dyn FnMut(&[u8])) -> Result<(), DeviceError>;
    /// Runs jobs and waits for them. After an error the program can be used again.
    fn submit(&mut self, jobs: &[Job]) -> Result<(), JobError>;
    /// What the submissions since loading have cost, if the device counts it.
    fn counters(&self) -> Option<Counters>;
}

/// Exact counts of a device, by core and by name of the count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// One map for each core.
    pub cores: Vec<BTreeMap<String, u64>>,
    /// Estimated time that submissions took of the device, in nanoseconds: work of several cores at a
    /// time counts once, and programs that run side by side share it. An estimate, where the others
    /// are counts.
    pub estimated_ns: u64,
}

impl Counters {
    /// Counts since `earlier`.
    pub fn since(&self, earlier: &Counters) -> Counters {
        let empty = BTreeMap::new();
        let cores = self.cores.iter().enumerate().map(|(i, core)| {
            let earlier = earlier.cores.get(i).unwrap_or(&empty);
            core.iter()
                .map(|(name, value)| (name.clone(), value - earlier.get(name).unwrap_or(&0)))
                .collect()
        });
        Counters {
            cores: cores.collect(),
            estimated_ns: self.estimated_ns - earlier.estimated_ns,
        }
    }

    /// Counts of several programs together.
    pub fn sum(all: impl IntoIterator<Item = Counters>) -> Counters {
        let mut sum = Counters::default();
        for counters in all {
            sum.estimated_ns += counters.estimated_ns;
            let cores = counters.cores.len().max(sum.cores.len());
            sum.cores.resize_with(cores, BTreeMap::new);
            for (total, core) in sum.cores.iter_mut().zip(counters.cores) {
                for (name, value) in core {
                    *total.entry(name).or_default() += value;
                }
            }
        }
        sum
    }

    /// Sum over the cores.
    pub fn total(&self) -> BTreeMap<String, u64> {
        let mut total = BTreeMap::new();
        for (name, value) in self.cores.iter().flatten() {
            *total.entry(name.clone()).or_default() += value;
        }
        total
    }
}

/// Why a device cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The node does not exist.
    #[error("{} does not exist: no NPU driver has made it", .0.display())]
    Missing(PathBuf),
    /// The node may not be opened.
    #[error("{} may not be opened by this user (is it a member of the group that owns the node, often `render`?)", .0.display())]
    Permission(PathBuf),
    /// The node belongs to a driver that is not known here.
    #[error("{} is driven by `{driver}`, not by one of: {known}", path.display())]
    Driver {
        /// The node.
        path: PathBuf,
        /// Name its driver gives.
        driver: String,
        /// Names that would do.
        known: &'static str,
    },
    /// None of the device's cores is an NPU that is known here.
    #[error("no core of {} is the A311D's NPU; it has: {}", path.display(), cores.join(", "))]
    Chip {
        /// The node.
        path: PathBuf,
        /// Its cores.
        cores: Vec<String>,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The executable is for another NPU.
    #[error("the executable is for {executable:?}, the device is {device:?}")]
    Target {
        /// What it was compiled for.
        executable: Target,
        /// What the device is.
        device: Target,
    },
    /// The executable names bytes that are not in its buffers.
    #[error("{what} at byte {offset}, length {len}, of buffer {} is outside its {size} bytes", buffer.as_u32())]
    Bounds {
        /// What refers to them.
        what: &'static str,
        /// The buffer.
        buffer: BufferId,
        /// First byte.
        offset: usize,
        /// Length.
        len: usize,
        /// Bytes of the buffer, 0 if there is no such buffer.
        size: usize,
    },
    /// An address that the NPU's 32-bit bus cannot reach.
    #[error("device address {0:#x} does not fit 32 bits")]
    Address(u64),
    /// An address that the place it is written to cannot hold.
    #[error("device address {address:#x} is no multiple of {align}")]
    Alignment {
        /// The address.
        address: u64,
        /// What it has to be a multiple of.
        align: u32,
    },
    /// Jobs that wait for each other, or for jobs that do not exist.
    #[error("job {job} waits for job {after}, which is not before it")]
    Order {
        /// Waiting job.
        job: usize,
        /// What it waits for.
        after: usize,
    },
    /// A parent of this process opened the node.
    #[error("{}", opened_before_fork(&path.display().to_string(), *process))]
    Forked {
        /// The node.
        path: PathBuf,
        /// The process that opened it.
        process: Process,
    },
    /// There is no memory for what is brought to or from the device.
    #[error(transparent)]
    Memory(#[from] crate::OutOfMemory),
    /// The device has no support for this.
    #[error("{0}")]
    Unsupported(String),
}

/// A submission that failed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It never reached the NPU.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A job stopped with a fault.
    #[error("job {job}, task {task}, on core {core}: {cause}")]
    Fault {
        /// Index in the submission.
        job: usize,
        /// Index in the job.
        task: usize,
        /// The core it ran on.
        core: usize,
        /// What the NPU or its model found wrong.
        cause: String,
    },
    /// The driver ended a job with an error; it does not tell which.
    #[error("the driver ended a job with an error: {cause}")]
    Failed {
        /// The error, in words.
        cause: std::io::Error,
    },
    /// The driver ended a job.
    #[error("job {job}, task {task}: {why}: {cause}")]
    Stopped {
        /// Index in the submission.
        job: usize,
        /// Index in the job.
        task: usize,
        /// What it did, in words.
        why: &'static str,
        /// The driver's error.
        cause: std::io::Error,
    },
    /// The NPU stopped in the middle of a job, or touched memory that is not mapped for it.
    #[error(
        "job {job}, task {task}: the NPU made no progress or met a page fault, so the driver reset it (the kernel's log and /sys/class/devcoredump tell where)"
    )]
    Hung {
        /// Index in the submission.
        job: usize,
        /// Index in the job.
        task: usize,
    },
    /// No answer in time.
    #[error("no answer from the NPU within {} ms", .0.as_millis())]
    Timeout(Duration),
}

impl JobError {
    /// Index of the job that failed, if it is known.
    pub fn job(&self) -> Option<usize> {
        match self {
            JobError::Fault { job, .. }
            | JobError::Hung { job, .. }
            | JobError::Stopped { job, .. } => Some(*job),
            _ => None,
        }
    }
}

/// Checks that `region` lies in its buffer.
fn check_region(
    executable: &Executable,
    what: &'static str,
    region: Region,
) -> Result<(), DeviceError> {
    let size = executable.buffers.get(region.buffer).map_or(0, |b| b.size);
    match region.offset.checked_add(region.len) {
        Some(end) if end <= size => Ok(()),
        _ => Err(DeviceError::Bounds {
            what,
            buffer: region.buffer,
            offset: region.offset,
            len: region.len,
            size,
        }),
    }
}

/// What a buffer holds at first: its initial bytes with all relocations applied.
struct Image<'e> {
    init: &'e Content,
    /// Where an address goes, how, and the address.
    patches: Vec<(usize, RelocationKind, u32)>,
    len: usize,
}

/// The images of all buffers, for buffers at `addresses`.
fn images<'e>(
    executable: &'e Executable,
    addresses: &PrimaryMap<BufferId, u64>,
) -> Result<PrimaryMap<BufferId, Image<'e>>, DeviceError> {
    let image = |buffer: &'e ferrite_compiler::executable::Buffer| Image {
        init: &buffer.init,
        patches: Vec::new(),
        len: buffer.init.len(),
    };
    let mut images: PrimaryMap<_, _> = executable.buffers.values().map(image).collect();
    if let Some((_, commands)) = images.last_mut() {
        // Most addresses are in the commands, which come last.
        commands.patches.reserve(executable.relocations.len());
    }
    for relocation in &executable.relocations {
        let place = Region {
            buffer: relocation.buffer,
            offset: relocation.offset,
            len: relocated_bytes(relocation.kind),
        };
        check_region(executable, "relocation", place)?;
        let target = Region {
            buffer: relocation.target,
            offset: relocation.addend as usize,
            len: 0,
        };
        check_region(executable, "relocation target", target)?;
        let address = addresses[relocation.target] + u64::from(relocation.addend);
        let value = u32::try_from(address).map_err(|_| DeviceError::Address(address))?;
        if relocation.kind == RelocationKind::Granules64 && !value.is_multiple_of(64) {
            return Err(DeviceError::Alignment { address, align: 64 });
        }
        let image = &mut images[place.buffer];
        image.len = image.len.max(place.offset + place.len);
        image.patches.push((place.offset, relocation.kind, value));
    }
    Ok(images)
}

/// Bytes of the place that a relocation is applied to.
fn relocated_bytes(kind: RelocationKind) -> usize {
    match kind {
        RelocationKind::Rk3588Value => 8,
        RelocationKind::Word32 | RelocationKind::Granules64 => 4,
    }
}

impl Image<'_> {
    /// Bytes that are not just zero.
    fn len(&self) -> usize {
        self.len
    }

    /// Writes the image to the beginning of `memory`, which is zero and at least as long.
    fn write(&self, memory: &mut [u8]) {
        self.init.write(memory);
        for &(offset, kind, value) in &self.patches {
            let bytes = &mut memory[offset..offset + relocated_bytes(kind)];
            match kind {
                // target[63:48] | value[47:16] | offset[15:0], little endian.
                RelocationKind::Rk3588Value => bytes[2..6].copy_from_slice(&value.to_le_bytes()),
                RelocationKind::Word32 => bytes.copy_from_slice(&value.to_le_bytes()),
                RelocationKind::Granules64 => {
                    let old = [bytes[0], bytes[1], bytes[2], bytes[3]];
                    let kept = u32::from_le_bytes(old) & !0x03ff_ffff;
                    bytes.copy_from_slice(&(kept | value >> 6).to_le_bytes());
                }
            }
        }
    }
}

/// Checks target, buffers, commands and order of jobs of an executable, once, before it is used.
fn check(executable: &Executable, target: Target) -> Result<(), DeviceError> {
    use ferrite_compiler::executable::Step;
    if executable.target != target {
        return Err(DeviceError::Target {
            executable: executable.target,
            device: target,
        });
    }
    for (id, buffer) in &executable.buffers {
        if buffer.init.len() > buffer.size {
            return Err(DeviceError::Bounds {
                what: "initial content",
                buffer: id,
                offset: 0,
                len: buffer.init.len(),
                size: buffer.size,
            });
        }
    }
    for step in &executable.steps {
        match step {
            Step::Cpu(_) => {}
            Step::Enter(port) | Step::Leave(port) | Step::Requantise { port, .. } => {
                check_region(executable, "port", port.region)?;
            }
            Step::Submit(jobs) => check_jobs(executable, jobs)?,
        }
    }
    Ok(())
}

fn check_jobs(executable: &Executable, jobs: &[Job]) -> Result<(), DeviceError> {
    for (index, job) in jobs.iter().enumerate() {
        if let Some(&after) = job.after.iter().find(|&&after| after >= index) {
            return Err(DeviceError::Order { job: index, after });
        }
        for task in &job.tasks {
            let commands = Region {
                len: task.words * 8,
                ..task.commands
            };
            check_region(executable, "command list", commands)?;
        }
        for &buffer in job.reads.iter().chain(&job.writes) {
            let whole = Region {
                buffer,
                offset: 0,
                len: 0,
            };
            if !executable.buffers.is_valid(buffer) {
                check_region(executable, "operand", Region { len: 1, ..whole })?;
            }
        }
    }
    Ok(())
}
