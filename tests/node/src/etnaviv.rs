//! The driver-private calls of mainline's `etnaviv`, for a client that chooses addresses.
#![allow(unsafe_code)]

use crate::faults;
use crate::objects::{Buffer, Kind, Object, View};
use ferrite_hw::Grade;
use ferrite_hw::vivante::chip;
use ferrite_sim::vivante::{Config, Npu};
use ferrite_uapi::etnaviv as uapi;
use nix::libc::{self, c_int};
use std::slice;

pub fn param(param: &mut uapi::Param) -> Result<(), c_int> {
    if param.pipe != 0 {
        return Err(libc::ENXIO);
    }
    param.value = match param.param {
        uapi::PARAM_MODEL => chip::A311D.model.into(),
        uapi::PARAM_REVISION => chip::A311D.revision.into(),
        uapi::PARAM_PRODUCT_ID => chip::A311D.product.into(),
        uapi::PARAM_ECO_ID => chip::A311D.eco.into(),
        uapi::PARAM_CUSTOMER_ID => chip::A311D.customer.into(),
        uapi::PARAM_SOFTPIN_START => 0x40_0000,
        _ => return Err(libc::EINVAL),
    };
    Ok(())
}

/// Runs a stream; the descriptor of its fence goes to `submit`.
///
/// # Safety
/// The pointers of `submit` are those of live arrays.
pub unsafe fn submit(node: Object, submit: &mut uapi::GemSubmit) -> Result<(), c_int> {
    let flags = uapi::SUBMIT_SOFTPIN | uapi::SUBMIT_NO_IMPLICIT | uapi::SUBMIT_FENCE_FD_OUT;
    if submit.flags != flags || submit.pipe != 0 || submit.stream_size > uapi::MAX_STREAM {
        return Err(libc::EINVAL);
    }
    // SAFETY: by the caller's promise; the kernel copies both.
    let (bos, stream): (&[uapi::SubmitBo], &[u8]) = unsafe {
        (
            slice::from_raw_parts(submit.bos as *const _, submit.nr_bos as usize),
            slice::from_raw_parts(submit.stream as *const _, submit.stream_size as usize),
        )
    };
    let mapped: Result<Vec<(u64, Buffer)>, c_int> = bos
        .iter()
        .map(|bo| Ok((bo.presumed, node.buffer(bo.handle)?)))
        .collect();
    let status = match run(node, mapped?, stream) {
        Ok(()) => 1,
        Err(errno) => -errno,
    };
    submit.fence_fd = Object::new(Kind::SyncFile, status)?.fd();
    Ok(())
}

/// Runs a stream; an error is that of its fence.
fn run(node: Object, mapped: Vec<(u64, Buffer)>, stream: &[u8]) -> Result<(), c_int> {
    faults::call("job")?;
    let memory = View::new(node, mapped);
    let npu = Npu::new(Config {
        evidence: Grade::Inferred,
        ..Config::default()
    });
    let words = stream.as_chunks::<4>().0;
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    match npu.run(&memory, &words).fault {
        None => Ok(()),
        // What the driver gives to jobs that it had to stop.
        Some(_) => Err(libc::ECANCELED),
    }
}
