// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! The C header says what the Rust structs say: the C compiler compares them.

use std::io::Write;
use std::mem::{offset_of, size_of};
use std::process::{Command, Stdio};

use ferrite_uapi::ferrite;

/// One assertion for a struct's size and for each field's offset.
macro_rules! layout {
    ($out:ident, $rust:ty, $c:literal: $($field:ident),*) => {
        $out.push_str(&format!(
            "_Static_assert(sizeof(struct {0}) == {1}, \"{0}\");\n",
            $c, size_of::<$rust>()
        ));
        $($out.push_str(&format!(
            "_Static_assert(__builtin_offsetof(struct {0}, {1}) == {2}, \"{0}.{1}\");\n",
            $c, stringify!($field), offset_of!($rust, $field)
        ));)*
    };
}

#[test]
fn the_c_header_agrees() {
    let mut checks = String::from("#include \"ferrite_accel.h\"\n");
    layout!(checks, ferrite::Query, "drm_ferrite_query": kind, index, size, reserved, data);
    layout!(checks, ferrite::DeviceInfo, "drm_ferrite_device_info":
        cores, features, max_jobs, max_tasks, timeout_ns, address_start, address_end);
    layout!(checks, ferrite::CoreInfo, "drm_ferrite_core_info": version, busy, busy_ns, jobs, resets);
    layout!(checks, ferrite::CreateBuffer, "drm_ferrite_create_buffer":
        size, flags, handle, dma_address, offset);
    layout!(checks, ferrite::BufferInfo, "drm_ferrite_buffer_info":
        handle, flags, size, dma_address, offset);
    layout!(checks, ferrite::Job, "drm_ferrite_job":
        tasks, in_bo_handles, out_bo_handles, task_count, task_struct_size, in_bo_handle_count,
        out_bo_handle_count, after, after_count, cores, affinity, reserved);
    layout!(checks, ferrite::Submit, "drm_ferrite_submit":
        jobs, job_count, job_struct_size, in_syncobjs, out_syncobjs, in_syncobj_count,
        out_syncobj_count, flags, priority, number);
    layout!(checks, ferrite::Wait, "drm_ferrite_wait":
        number, timeout_ns, error, failed_job, busy_ns);
    layout!(checks, ferrite::Prepare, "drm_ferrite_prepare": handle, flags, timeout_ns);
    for (name, value) in [
        ("DRM_IOCTL_FERRITE_QUERY", ferrite::IOCTL_QUERY),
        (
            "DRM_IOCTL_FERRITE_CREATE_BUFFER",
            ferrite::IOCTL_CREATE_BUFFER,
        ),
        ("DRM_IOCTL_FERRITE_BUFFER_INFO", ferrite::IOCTL_BUFFER_INFO),
        ("DRM_IOCTL_FERRITE_SUBMIT", ferrite::IOCTL_SUBMIT),
        ("DRM_IOCTL_FERRITE_WAIT", ferrite::IOCTL_WAIT),
        ("DRM_IOCTL_FERRITE_PREPARE", ferrite::IOCTL_PREPARE),
        ("DRM_FERRITE_QUERY_CORE", ferrite::QUERY_CORE),
        (
            "DRM_FERRITE_BUFFER_WRITE_COMBINED",
            ferrite::BUFFER_WRITE_COMBINED,
        ),
        ("DRM_FERRITE_BUFFER_IMPORTED", ferrite::BUFFER_IMPORTED),
        ("DRM_FERRITE_SUBMIT_EXPLICIT", ferrite::SUBMIT_EXPLICIT),
        ("DRM_FERRITE_PREPARE_READ", ferrite::PREPARE_READ),
        ("DRM_FERRITE_PREPARE_WRITE", ferrite::PREPARE_WRITE),
    ] {
        checks.push_str(&format!(
            "_Static_assert({name} == {value}u, \"{name}\");\n"
        ));
    }
    let header = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let compiler = Command::new("cc")
        .args([
            "-fsyntax-only",
            "-Wall",
            "-Wpadded",
            "-Werror",
            "-I",
            header,
        ])
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
    if errors.contains("drm/drm.h") && errors.contains("No such file") {
        eprintln!("skipped: no kernel headers");
        return;
    }
    assert!(output.status.success(), "{errors}");
}
