// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! The C headers say what the Rust structs say: the C compiler compares them.

use std::io::Write;
use std::mem::{offset_of, size_of};
use std::process::{Command, Stdio};

use ferrite_uapi::{etnaviv, ferrite};

/// One assertion for a struct's size and for each field's offset. A field whose name differs in C
/// is given as `rust = c`.
macro_rules! layout {
    ($out:ident, $rust:ty, $c:literal: $($field:ident $(= $name:ident)?),*) => {
        $out.push_str(&format!(
            "_Static_assert(sizeof(struct {0}) == {1}, \"{0}\");\n",
            $c, size_of::<$rust>()
        ));
        $($out.push_str(&format!(
            "_Static_assert(__builtin_offsetof(struct {0}, {1}) == {2}, \"{0}.{1}\");\n",
            $c, layout!(@name $field $($name)?), offset_of!($rust, $field)
        ));)*
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:ident) => { stringify!($name) };
}

/// One assertion for each constant.
fn values(checks: &mut String, pairs: &[(&str, u32)]) {
    for (name, value) in pairs {
        checks.push_str(&format!(
            "_Static_assert({name} == {value}u, \"{name}\");\n"
        ));
    }
}

#[test]
fn the_c_header_agrees() {
    let mut checks = String::from("#include \"ferrite_accel.h\"\n");
    layout!(checks, ferrite::Query, "drm_ferrite_query": kind, index, size, reserved, data);
    layout!(checks, ferrite::DeviceInfo, "drm_ferrite_device_info":
        cores, features, max_jobs, max_tasks, timeout_ns, address_start, address_end, max_chain,
        reserved, chain_timeout_ns, clock_hz);
    layout!(checks, ferrite::CoreInfo, "drm_ferrite_core_info":
        version, flags, busy_ns, jobs, resets);
    layout!(checks, ferrite::CreateBuffer, "drm_ferrite_create_buffer":
        size, flags, handle, dma_address, offset);
    layout!(checks, ferrite::BufferInfo, "drm_ferrite_buffer_info":
        handle, flags, size, dma_address, offset);
    layout!(checks, ferrite::Task, "drm_ferrite_task": regcmd, regcmd_count, int_mask, flags);
    layout!(checks, ferrite::Job, "drm_ferrite_job":
        tasks, in_bo_handles, out_bo_handles, task_count, task_struct_size, in_bo_handle_count,
        out_bo_handle_count, after, after_count, cores, affinity, flags);
    layout!(checks, ferrite::Sync, "drm_ferrite_sync": handle, flags, point);
    layout!(checks, ferrite::Submit, "drm_ferrite_submit":
        jobs, job_count, job_struct_size, in_syncs, out_syncs, in_sync_count, out_sync_count,
        sync_struct_size, flags, priority, reserved, number);
    layout!(checks, ferrite::Wait, "drm_ferrite_wait":
        number, timeout_ns, error, failed_job, failed_task, flags, busy_ns);
    layout!(checks, ferrite::Prepare, "drm_ferrite_prepare":
        handle, flags, timeout_ns, offset, size);
    layout!(checks, ferrite::Finish, "drm_ferrite_finish": handle, flags, offset, size);
    macro_rules! same {
        ($($name:ident),* $(,)?) => {
            &[$((concat!("DRM_FERRITE_", stringify!($name)), ferrite::$name)),*]
        };
    }
    values(
        &mut checks,
        same![
            QUERY_DEVICE,
            QUERY_CORE,
            FEATURE_SUBMIT,
            FEATURE_IMPORT,
            FEATURE_SYNCOBJ,
            FEATURE_PPU,
            FEATURE_CHAIN,
            FEATURE_TIMELINE,
            FEATURE_RANGE,
            CORE_ACTIVITY,
            CORE_BUSY,
            BUFFER_WRITE_COMBINED,
            BUFFER_IMPORTED,
            COMPLETION_DPU,
            COMPLETION_PPU,
            JOB_CHAINED,
            SYNC_TIMELINE,
            SUBMIT_EXPLICIT,
            PREPARE_READ,
            PREPARE_WRITE,
        ],
    );
    values(
        &mut checks,
        &[
            ("DRM_IOCTL_FERRITE_QUERY", ferrite::IOCTL_QUERY),
            (
                "DRM_IOCTL_FERRITE_CREATE_BUFFER",
                ferrite::IOCTL_CREATE_BUFFER,
            ),
            ("DRM_IOCTL_FERRITE_BUFFER_INFO", ferrite::IOCTL_BUFFER_INFO),
            ("DRM_IOCTL_FERRITE_SUBMIT", ferrite::IOCTL_SUBMIT),
            ("DRM_IOCTL_FERRITE_WAIT", ferrite::IOCTL_WAIT),
            ("DRM_IOCTL_FERRITE_PREPARE", ferrite::IOCTL_PREPARE),
            ("DRM_IOCTL_FERRITE_FINISH", ferrite::IOCTL_FINISH),
        ],
    );
    compile(&checks, &["-Wpadded"]);
}

#[test]
fn etnaviv_of_the_kernel_headers_agrees() {
    let mut checks = String::from("#include <drm/etnaviv_drm.h>\n");
    layout!(checks, etnaviv::Timespec, "drm_etnaviv_timespec": sec = tv_sec, nsec = tv_nsec);
    layout!(checks, etnaviv::Param, "drm_etnaviv_param": pipe, param, value);
    layout!(checks, etnaviv::GemNew, "drm_etnaviv_gem_new": size, flags, handle);
    layout!(checks, etnaviv::GemInfo, "drm_etnaviv_gem_info": handle, pad, offset);
    layout!(checks, etnaviv::GemCpuPrep, "drm_etnaviv_gem_cpu_prep": handle, op, timeout);
    layout!(checks, etnaviv::GemCpuFini, "drm_etnaviv_gem_cpu_fini": handle, flags);
    layout!(checks, etnaviv::SubmitBo, "drm_etnaviv_gem_submit_bo": flags, handle, presumed);
    layout!(checks, etnaviv::GemSubmit, "drm_etnaviv_gem_submit":
        fence, pipe, exec_state, nr_bos, nr_relocs, stream_size, bos, relocs, stream, flags,
        fence_fd, pmrs, nr_pmrs, pad);
    layout!(checks, etnaviv::WaitFence, "drm_etnaviv_wait_fence": pipe, fence, flags, pad, timeout);
    values(
        &mut checks,
        &[
            ("DRM_IOCTL_ETNAVIV_GET_PARAM", etnaviv::IOCTL_GET_PARAM),
            ("DRM_IOCTL_ETNAVIV_GEM_NEW", etnaviv::IOCTL_GEM_NEW),
            ("DRM_IOCTL_ETNAVIV_GEM_INFO", etnaviv::IOCTL_GEM_INFO),
            (
                "DRM_IOCTL_ETNAVIV_GEM_CPU_PREP",
                etnaviv::IOCTL_GEM_CPU_PREP,
            ),
            (
                "DRM_IOCTL_ETNAVIV_GEM_CPU_FINI",
                etnaviv::IOCTL_GEM_CPU_FINI,
            ),
            ("DRM_IOCTL_ETNAVIV_GEM_SUBMIT", etnaviv::IOCTL_GEM_SUBMIT),
            ("DRM_IOCTL_ETNAVIV_WAIT_FENCE", etnaviv::IOCTL_WAIT_FENCE),
            ("ETNAVIV_PARAM_GPU_MODEL", etnaviv::PARAM_MODEL),
            ("ETNAVIV_PARAM_GPU_REVISION", etnaviv::PARAM_REVISION),
            (
                "ETNAVIV_PARAM_SOFTPIN_START_ADDR",
                etnaviv::PARAM_SOFTPIN_START,
            ),
            ("ETNAVIV_PARAM_GPU_PRODUCT_ID", etnaviv::PARAM_PRODUCT_ID),
            ("ETNAVIV_PARAM_GPU_CUSTOMER_ID", etnaviv::PARAM_CUSTOMER_ID),
            ("ETNAVIV_PARAM_GPU_ECO_ID", etnaviv::PARAM_ECO_ID),
            ("ETNA_MAX_PIPES", etnaviv::MAX_PIPES),
            ("ETNA_BO_WC", etnaviv::BO_WRITE_COMBINED),
            ("ETNA_PREP_READ", etnaviv::PREP_READ),
            ("ETNA_PREP_WRITE", etnaviv::PREP_WRITE),
            ("ETNA_SUBMIT_BO_READ", etnaviv::SUBMIT_BO_READ),
            ("ETNA_SUBMIT_BO_WRITE", etnaviv::SUBMIT_BO_WRITE),
            ("ETNA_SUBMIT_NO_IMPLICIT", etnaviv::SUBMIT_NO_IMPLICIT),
            ("ETNA_SUBMIT_FENCE_FD_OUT", etnaviv::SUBMIT_FENCE_FD_OUT),
            ("ETNA_SUBMIT_SOFTPIN", etnaviv::SUBMIT_SOFTPIN),
            ("ETNA_PIPE_3D", etnaviv::PIPE_3D),
        ],
    );
    compile(&checks, &[]);
}

/// Lets the C compiler check the assertions; it must not complain about anything.
fn compile(checks: &str, flags: &[&str]) {
    let header = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let compiler = Command::new("cc")
        .args(["-fsyntax-only", "-Wall", "-Werror", "-I", header])
        .args(flags)
        // Where Debian has the headers of a cross compiler; of no use if there is none.
        .args(["-idirafter", "/usr/aarch64-linux-gnu/include"])
        .args(["-x", "c", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut compiler) = compiler else {
        eprintln!("skipped: no C compiler");
        return;
    };
    compiler
        .stdin
        .take()
        .expect("it is piped")
        .write_all(checks.as_bytes())
        .expect("the compiler reads");
    let output = compiler.wait_with_output().expect("the compiler ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("drm/") && errors.contains("No such file") {
        eprintln!("skipped: no kernel headers");
        return;
    }
    assert!(output.status.success(), "{errors}");
}
