//! The virtual board's devices: RK3588 NPU cores, each behind its IOMMU, in a stock QEMU.
//!
//! QEMU loads this library with `-plugin libferrite_board.so,soc=rk3588,cores=3`. The cores sit at
//! their real addresses and interrupt lines; what they compute is `ferrite-sim`'s business.

mod chip;
mod journal;
mod npu_core;
mod options;
mod port;
mod qemu;
mod reset;
mod stats;
mod tracing;

use std::sync::{Arc, OnceLock};

use npu_core::NpuCore;
use options::Options;
use qemu::{BoardError, Bql, GuestRam, Irq};
use tracing::Trace;

/// Why the plugin refuses to work.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error(transparent)]
    Options(#[from] options::OptionError),
    #[error(transparent)]
    Symbol(#[from] qemu::MissingSymbol),
    #[error("{path}: {source}")]
    File {
        path: String,
        source: std::io::Error,
    },
}

/// Sets the board up, once QEMU has loaded us: `id` is the plugin's number.
fn install(id: u64, arguments: &[String]) -> Result<(), InstallError> {
    let options = Options::parse(arguments)?;
    qemu::load()?;
    let file = |path: &std::path::Path| {
        std::fs::File::create(path).map_err(|source| InstallError::File {
            path: path.display().to_string(),
            source,
        })
    };
    if let Some(path) = &options.log {
        journal::start(file(path)?);
    }
    let trace = match &options.trace {
        Some(path) => Some(Arc::new(Trace::new(file(path)?).map_err(|source| {
            InstallError::File {
                path: path.display().to_string(),
                source,
            }
        })?)),
        None => None,
    };
    let cores: Arc<OnceLock<Vec<Arc<NpuCore>>>> = Arc::default();
    qemu::at_exit(id, {
        let (cores, trace, stats) = (Arc::clone(&cores), trace.clone(), options.stats.clone());
        move || {
            if let (Some(path), Some(cores)) = (&stats, cores.get())
                && let Err(error) = std::fs::write(path, stats::json(cores))
            {
                log::error!("{}: {error}", path.display());
            }
            if let Some(trace) = trace {
                trace.flush();
            }
        }
    });
    qemu::when_machine_is_ready(move |bql| match build(bql, &options, trace) {
        Ok(built) => {
            let _ = cores.set(built);
        }
        Err(error) => {
            // Without its devices the guest would wait for ever.
            eprintln!("ferrite-board: {error}");
            std::process::exit(1);
        }
    });
    Ok(())
}

/// Puts the cores into the machine.
fn build(
    bql: &Bql,
    options: &Options,
    trace: Option<Arc<Trace>>,
) -> Result<Vec<Arc<NpuCore>>, BoardError> {
    let ram = Arc::new(GuestRam::map(bql, chip::RAM_BASE)?);
    let mut cores = Vec::new();
    for place in chip::CORES.iter().take(options.cores as usize) {
        let irq = Irq::shared_peripheral(bql, place.interrupt)?;
        let core = NpuCore::new(place, irq, Arc::clone(&ram), trace.clone(), options.icount);
        qemu::map_registers(
            bql,
            "rk3588-npu",
            place.base,
            chip::WINDOW,
            Arc::new(Arc::clone(&core)),
        );
        cores.push(core);
    }
    let reset = Arc::new(reset::ResetController::new(cores.clone()));
    qemu::map_registers(
        bql,
        "npu-reset",
        chip::RESET_BASE,
        chip::RESET_WINDOW,
        reset,
    );

    // A byte order that was not meant would show as nonsense far from here.
    let (address, expected) = (chip::CORES[0].base, ferrite_hw::rk3588::codes::VERSION_FIRE);
    match qemu::read_physical(bql, address) {
        read if read == expected => Ok(cores),
        read => Err(BoardError::ByteOrder {
            address,
            read,
            expected,
        }),
    }
}
