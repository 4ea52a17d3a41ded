//! The A311D's NPU behind a `/dev/dri/renderDN` node with mainline's `etnaviv` UABI.
//!
//! Descriptors hold device addresses, so this side chooses them ("softpin"). A job is a command
//! stream that the driver copies into its ring; jobs of one open node run in the order in which
//! they are submitted, and do not wait for the buffers of others.

mod address_space;
mod bo;
mod ioctl;

use super::drm::fence::Fence;
use super::drm::{self, Node, system};
use super::{Counters, Device, DeviceError, JobError, Program, check, images};
use address_space::AddressSpace;
use bo::Bo;
use ferrite_compiler::executable::{BufferId, Executable, Job, Region, Role, Step, Target, Task};
use ferrite_cpu::memory;
use ferrite_hw::vivante::chip;
use ferrite_ir::PrimaryMap;
use ferrite_uapi::etnaviv as uapi;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The driver looks after a job this often, and ends one that has made no progress meanwhile.
const DRIVER_CHECK: Duration = Duration::from_millis(500);
/// Waiting beyond what the driver itself allows means that its answer got lost.
const GRACE: Duration = Duration::from_secs(2);
/// First version that tells product, customer and engineering change (Linux 6.8).
const VERSION: (i32, i32) = (1, 4);
/// What the driver ends a job with that hung.
const HUNG: i32 = Errno::ECANCELED as i32;

/// An open render node.
#[derive(Debug)]
pub struct Etnaviv {
    node: Arc<Node>,
    path: PathBuf,
    version: (i32, i32),
    /// Number of the NPU among the cores of the device.
    pipe: u32,
    space: Arc<Mutex<AddressSpace>>,
}

impl Etnaviv {
    /// Opens the node, checks whose driver it is and looks for the NPU.
    pub fn open(path: &Path) -> Result<Etnaviv, DeviceError> {
        let (node, version) = drm::open(path, uapi::DRIVER_NAME)?;
        if version < VERSION {
            return Err(DeviceError::Unsupported(format!(
                "{} has driver etnaviv {}.{}, which does not tell NPUs apart: {}.{} does (Linux 6.8)",
                path.display(),
                version.0,
                version.1,
                VERSION.0,
                VERSION.1
            )));
        }
        let pipe = find(&node, path)?;
        let start = param(&node, path, pipe, uapi::PARAM_SOFTPIN_START)?;
        if start > u64::from(u32::MAX) {
            return Err(DeviceError::Unsupported(format!(
                "the driver of {} does not let clients choose addresses",
                path.display()
            )));
        }
        Ok(Etnaviv {
            node: Arc::new(node),
            path: path.to_owned(),
            version,
            pipe,
            space: Arc::new(Mutex::new(AddressSpace::new(start))),
        })
    }

    /// Major and minor version of the driver.
    pub fn version(&self) -> (i32, i32) {
        self.version
    }
}

/// The number of the NPU among the cores of a device.
fn find(node: &File, path: &Path) -> Result<u32, DeviceError> {
    let mut others = Vec::new();
    for pipe in 0..uapi::MAX_PIPES {
        let model = match ioctl::param(node, pipe, uapi::PARAM_MODEL) {
            Err(Errno::ENXIO) => continue,
            model => model.map_err(|e| unanswered(path, uapi::PARAM_MODEL, e))?,
        };
        let word = |number| param(node, path, pipe, number).map(|value| value as u32);
        let identity = chip::Identity {
            model: model as u32,
            revision: word(uapi::PARAM_REVISION)?,
            product: word(uapi::PARAM_PRODUCT_ID)?,
            eco: word(uapi::PARAM_ECO_ID)?,
            customer: word(uapi::PARAM_CUSTOMER_ID)?,
        };
        if identity == chip::A311D {
            return Ok(pipe);
        }
        others.push(format!(
            "model {:#x} revision {:#x} product {:#x} customer {:#x}",
            identity.model, identity.revision, identity.product, identity.customer
        ));
    }
    Err(DeviceError::Chip {
        path: path.to_owned(),
        cores: others,
    })
}

fn param(node: &File, path: &Path, pipe: u32, number: u32) -> Result<u64, DeviceError> {
    ioctl::param(node, pipe, number).map_err(|e| unanswered(path, number, e))
}

fn unanswered(path: &Path, number: u32, errno: Errno) -> DeviceError {
    let path = path.display();
    system(format!("asking {path} for parameter {number:#x}"), errno)
}

impl Device for Etnaviv {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn target(&self) -> Target {
        Target::A311d
    }

    fn identity(&self) -> String {
        self.node.identity(uapi::DRIVER_NAME, self.version)
    }

    fn cores(&self) -> usize {
        // The NN cores share the kernels of every job.
        1
    }

    fn load(&self, executable: &Executable) -> Result<Box<dyn Program>, DeviceError> {
        self.node.check()?;
        check(executable, Target::A311d)?;
        check_streams(executable)?;
        let mut buffers: PrimaryMap<_, Storage> =
            PrimaryMap::with_capacity(executable.buffers.len());
        for buffer in executable.buffers.values() {
            buffers.push(match buffer.role {
                Role::Commands => Storage::Stream(memory::zeros(buffer.size)?),
                Role::Constants | Role::Activations => {
                    Storage::Device(Bo::new(&self.node, &self.space, buffer.size)?)
                }
            });
        }
        let addresses = buffers.values().map(Storage::address).collect();
        for (buffer, image) in buffers
            .values_mut()
            .zip(images(executable, &addresses)?.values())
        {
            // New pages are zero, so what lies beyond the image is as it has to be.
            buffer.with(|bytes| image.write(bytes))?;
        }
        Ok(Box::new(EtnavivProgram {
            node: Arc::clone(&self.node),
            pipe: self.pipe,
            buffers,
        }))
    }
}

/// Checks what only this driver asks of an executable: command streams are copied at submission,
/// so they have no address, lie in buffers of commands, and are limited in length.
fn check_streams(executable: &Executable) -> Result<(), DeviceError> {
    let role = |id: BufferId| executable.buffers.get(id).map(|b| b.role);
    if executable
        .relocations
        .iter()
        .any(|relocation| role(relocation.target) == Some(Role::Commands))
    {
        let what = "the executable refers to the address of a command stream, which has none";
        return Err(DeviceError::Unsupported(what.to_owned()));
    }
    for step in &executable.steps {
        let Step::Submit(jobs) = step else { continue };
        for task in jobs.iter().flat_map(|job| &job.tasks) {
            let bytes = task.words * 8;
            if role(task.commands.buffer) != Some(Role::Commands) {
                let what = "a command stream lies in a buffer that is not for commands";
                return Err(DeviceError::Unsupported(what.to_owned()));
            }
            if bytes > uapi::MAX_STREAM as usize {
                return Err(DeviceError::Unsupported(format!(
                    "a command stream has {bytes} bytes, the driver takes {}",
                    uapi::MAX_STREAM
                )));
            }
        }
    }
    Ok(())
}

/// Where a buffer of an executable lives.
enum Storage {
    Device(Bo),
    /// Command streams, which the kernel copies.
    Stream(Vec<u8>),
}

impl Storage {
    /// Device address. Streams have none; nothing refers to them.
    fn address(&self) -> u64 {
        match self {
            Storage::Device(bo) => bo.address(),
            Storage::Stream(_) => 0,
        }
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut [u8]) -> T) -> Result<T, DeviceError> {
        match self {
            Storage::Device(bo) => bo.with(work),
            Storage::Stream(bytes) => Ok(work(bytes)),
        }
    }
}

struct EtnavivProgram {
    node: Arc<Node>,
    pipe: u32,
    buffers: PrimaryMap<BufferId, Storage>,
}

impl EtnavivProgram {
    /// The bytes of a region, copied: mappings are write-combined, where single reads are slow.
    fn copy(&mut self, region: Region) -> Result<Vec<u8>, DeviceError> {
        let range = region.offset..region.offset + region.len;
        Ok(self.buffers[region.buffer].with(|bytes| memory::copy(&bytes[range]))??)
    }

    fn operands(&self, job: &Job) -> Vec<uapi::SubmitBo> {
        let mut flags: BTreeMap<BufferId, u32> = BTreeMap::new();
        for (ids, flag) in [
            (&job.reads, uapi::SUBMIT_BO_READ),
            (&job.writes, uapi::SUBMIT_BO_WRITE),
        ] {
            for id in ids {
                *flags.entry(*id).or_default() |= flag;
            }
        }
        let operand = |(id, flags): (BufferId, u32)| match &self.buffers[id] {
            Storage::Device(bo) => Some(bo.operand(flags)),
            Storage::Stream(_) => None,
        };
        flags.into_iter().filter_map(operand).collect()
    }

    fn start(&mut self, task: &Task, operands: &[uapi::SubmitBo]) -> Result<Fence, DeviceError> {
        let stream = self.copy(Region {
            len: task.words * 8,
            ..task.commands
        })?;
        ioctl::submit(&self.node, self.pipe, operands, &stream)
            .map(Fence::from)
            .map_err(|e| system(format!("submitting {} bytes of commands", stream.len()), e))
    }
}

/// The longest that the driver lets a stream run: every command may take up to two of its checks.
fn patience(task: &Task) -> Duration {
    let commands = u32::try_from(task.words).unwrap_or(u32::MAX);
    DRIVER_CHECK.saturating_mul(commands.saturating_mul(2)) + GRACE
}

impl Program for EtnavivProgram {
    fn write(
        &mut self,
        region: Region,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DeviceError> {
        let mut content = memory::zeros(region.len)?;
        fill(&mut content);
        self.buffers[region.buffer]
            .with(|bytes| bytes[region.offset..][..content.len()].copy_from_slice(&content))
    }

    fn read(&mut self, region: Region, take: &mut dyn FnMut(&[u8])) -> Result<(), DeviceError> {
        take(&self.copy(region)?);
        Ok(())
    }

    fn submit(&mut self, jobs: &[Job]) -> Result<(), JobError> {
        let mut started = Vec::new();
        let mut result = Ok(());
        'jobs: for (number, job) in jobs.iter().enumerate() {
            let operands = self.operands(job);
            for (index, task) in job.tasks.iter().enumerate() {
                match self.start(task, &operands) {
                    Ok(fence) => started.push((number, index, patience(task), fence)),
                    Err(error) => {
                        result = Err(error.into());
                        break 'jobs;
                    }
                }
            }
        }
        // Everything that was started has to end before the buffers are used again; the first
        // failure is the one to report, as those behind it follow from it.
        for (job, task, patience, fence) in started.into_iter().rev() {
            if let Err(error) = fence.wait(patience) {
                result = Err(match error {
                    JobError::Failed { cause } if cause.raw_os_error() == Some(HUNG) => {
                        JobError::Hung { job, task }
                    }
                    other => other,
                });
            }
        }
        result
    }

    fn counters(&self) -> Option<Counters> {
        None
    }
}
