//! The C library's functions, for nodes and their files; anything else goes on to the kernel.
#![allow(unsafe_code)]

use crate::objects::{Kind, Object};
use crate::{ETNAVIV, FERRITE, ROCKET, etnaviv, faults, ferrite, rocket};
use ferrite_uapi::{drm, etnaviv as etna, ferrite as ours, rocket as rock, sync};
use nix::errno::Errno;
use nix::libc::{
    self, c_char, c_int, c_long, c_uint, c_ulong, c_void, nfds_t, off_t, pollfd, size_t,
};
use std::ffi::CStr;
use std::ptr;

/// Has the linker take the functions below into a program: call it once.
pub fn link() {
    let functions: [*const (); 5] = [
        open64 as *const (),
        ioctl as *const (),
        mmap as *const (),
        mmap64 as *const (),
        poll as *const (),
    ];
    std::hint::black_box(functions);
}

/// The C library's way to say that a call failed.
fn failed(errno: c_int) -> c_int {
    Errno::from_raw(errno).set();
    -1
}

/// `open64(2)`
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller's path is a C string.
    let name = unsafe { CStr::from_ptr(path) };
    let kind = match name.to_str() {
        Ok(ROCKET) => Kind::Rocket,
        Ok(FERRITE) => Kind::Ferrite,
        Ok(ETNAVIV) => Kind::Etnaviv,
        // SAFETY: the caller's arguments.
        _ => unsafe {
            return libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode) as c_int;
        },
    };
    if flags & libc::O_CLOEXEC == 0 {
        // A node that a program started by the host would inherit.
        return failed(libc::EINVAL);
    }
    match faults::call("open").and_then(|()| Object::new(kind, 0)) {
        Ok(node) => node.fd(),
        Err(errno) => failed(errno),
    }
}

/// `mmap(2)`
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    address: *mut c_void,
    len: size_t,
    access: c_int,
    flags: c_int,
    fd: c_int,
    offset: off_t,
) -> *mut c_void {
    if fd >= 0
        && Object::of(fd).is_some()
        && let Err(errno) = faults::call("mmap")
    {
        failed(errno);
        return libc::MAP_FAILED;
    }
    // A node's pages lie in its file where the driver says that they can be mapped.
    // SAFETY: the caller's arguments.
    unsafe { libc::syscall(libc::SYS_mmap, address, len, access, flags, fd, offset) as *mut c_void }
}

/// `mmap64(2)`
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(
    address: *mut c_void,
    len: size_t,
    access: c_int,
    flags: c_int,
    fd: c_int,
    offset: off_t,
) -> *mut c_void {
    // SAFETY: the caller's arguments; offsets have 64 bits in both.
    unsafe { mmap(address, len, access, flags, fd, offset) }
}

/// `poll(2)`
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: the caller's array.
    let first = if count == 1 { unsafe { (*fds).fd } } else { -1 };
    if first >= 0
        && Object::of(first).is_some_and(|object| object.kind == Kind::SyncFile)
        && let Err(errno) = faults::call("poll")
    {
        return failed(errno);
    }
    let time = libc::timespec {
        tv_sec: (timeout / 1000).into(),
        tv_nsec: c_long::from(timeout % 1000) * 1_000_000,
    };
    let time = if timeout < 0 {
        ptr::null()
    } else {
        &raw const time
    };
    // SAFETY: the caller's array; without a signal mask its size does not matter.
    unsafe {
        let none = ptr::null::<libc::sigset_t>();
        libc::syscall(libc::SYS_ppoll, fds, count, time, none, 8) as c_int
    }
}

/// `ioctl(2)`
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let class = (request >> 8) as u8;
    let object = match class {
        b'd' | b'b' | b'>' => Object::of(fd),
        _ => None,
    };
    let Some(object) = object else {
        // SAFETY: the caller's arguments.
        return unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) as c_int };
    };
    // SAFETY: the caller's argument is of the request's type.
    match unsafe { answer(object, request as u32, argument) } {
        Ok(()) => 0,
        Err(errno) => failed(errno),
    }
}

/// # Safety
/// `argument` points to the structure that `request` takes.
unsafe fn answer(object: Object, request: u32, argument: *mut c_void) -> Result<(), c_int> {
    // SAFETY: by the caller's promise, wherever `T` is the request's type.
    unsafe fn take<'a, T>(argument: *mut c_void) -> &'a mut T {
        // SAFETY: as above.
        unsafe { &mut *argument.cast() }
    }
    // SAFETY: each arm takes the structure of its request.
    unsafe {
        match (object.kind, request) {
            (kind, drm::IOCTL_VERSION) if kind.is_node() => {
                faults::call("VERSION")?;
                version(object, take(argument));
                Ok(())
            }
            (kind, drm::IOCTL_GEM_CLOSE) if kind.is_node() => {
                faults::call("GEM_CLOSE")?;
                let close: &mut drm::GemClose = take(argument);
                let mut buffer = object.buffer(close.handle).map_err(|_| libc::EINVAL)?;
                buffer.size = 0;
                object.set(close.handle, &buffer);
                Ok(())
            }
            (kind, drm::IOCTL_PRIME_HANDLE_TO_FD) if kind.is_node() => {
                faults::call("PRIME_HANDLE_TO_FD")?;
                let prime: &mut drm::PrimeHandle = take(argument);
                object.buffer(prime.handle)?;
                if prime.flags & libc::O_CLOEXEC as u32 == 0 {
                    return Err(libc::EINVAL);
                }
                prime.fd = object.export(prime.handle)?.fd();
                Ok(())
            }
            (Kind::DmaBuf, sync::IOCTL_EXPORT_SYNC_FILE) => {
                faults::call("EXPORT_SYNC_FILE")?;
                let fence = Object::new(Kind::SyncFile, object.exported()?.status as i32)?;
                take::<sync::ExportSyncFile>(argument).fd = fence.fd();
                Ok(())
            }
            (Kind::SyncFile, sync::IOCTL_FILE_INFO) => {
                faults::call("FILE_INFO")?;
                take::<sync::FileInfo>(argument).status = object.value();
                Ok(())
            }
            (Kind::Rocket, _) => rocket_call(object, request, argument),
            (Kind::Ferrite, _) => ferrite_call(object, request, argument),
            (Kind::Etnaviv, _) => etnaviv_call(object, request, argument),
            _ => Err(libc::ENOTTY),
        }
    }
}

/// # Safety
/// As [`answer`].
unsafe fn rocket_call(node: Object, request: u32, argument: *mut c_void) -> Result<(), c_int> {
    let call = |nr: u8| rock::DRM_COMMAND_BASE + nr;
    let nr = request as u8;
    // SAFETY: by the caller's promise, each arm takes the structure of its request.
    unsafe {
        if nr == call(rock::CREATE_BO) {
            faults::call("CREATE_BO")?;
            rocket::create_bo(node, &mut *argument.cast())
        } else if nr == call(rock::SUBMIT) {
            faults::call("SUBMIT")?;
            rocket::submit(node, &*argument.cast())
        } else if nr == call(rock::PREP_BO) {
            faults::call("PREP_BO")?;
            node.buffer((*argument.cast::<rock::PrepBo>()).handle)
                .map(drop)
        } else if nr == call(rock::FINI_BO) {
            faults::call("FINI_BO")?;
            node.buffer((*argument.cast::<rock::FiniBo>()).handle)
                .map(drop)
        } else if request == ours::IOCTL_QUERY {
            faults::call("QUERY")?;
            Err(libc::ENOTTY)
        } else {
            Err(libc::ENOTTY)
        }
    }
}

/// # Safety
/// As [`answer`].
unsafe fn ferrite_call(node: Object, request: u32, argument: *mut c_void) -> Result<(), c_int> {
    // SAFETY: by the caller's promise, each arm takes the structure of its request.
    unsafe {
        match request {
            ours::IOCTL_QUERY => {
                faults::call("QUERY")?;
                ferrite::query(&mut *argument.cast())
            }
            ours::IOCTL_CREATE_BUFFER => {
                faults::call("CREATE_BUFFER")?;
                ferrite::create_buffer(node, &mut *argument.cast())
            }
            ours::IOCTL_SUBMIT => {
                faults::call("SUBMIT")?;
                ferrite::submit(node, &mut *argument.cast())
            }
            ours::IOCTL_WAIT => {
                faults::call("WAIT")?;
                ferrite::wait(node, &mut *argument.cast())
            }
            ours::IOCTL_PREPARE => {
                faults::call("PREPARE")?;
                ferrite::prepare(node, &*argument.cast())
            }
            ours::IOCTL_FINISH => {
                faults::call("FINISH")?;
                ferrite::finish(node, &*argument.cast())
            }
            _ => Err(libc::ENOTTY),
        }
    }
}

/// # Safety
/// As [`answer`].
unsafe fn etnaviv_call(node: Object, request: u32, argument: *mut c_void) -> Result<(), c_int> {
    // SAFETY: by the caller's promise, each arm takes the structure of its request.
    unsafe {
        match request {
            etna::IOCTL_GET_PARAM => {
                faults::call("GET_PARAM")?;
                etnaviv::param(&mut *argument.cast())
            }
            etna::IOCTL_GEM_NEW => {
                faults::call("GEM_NEW")?;
                let new: &mut etna::GemNew = &mut *argument.cast();
                new.handle = node.add(new.size, 0)?.0;
                Ok(())
            }
            etna::IOCTL_GEM_INFO => {
                faults::call("GEM_INFO")?;
                let info: &mut etna::GemInfo = &mut *argument.cast();
                info.offset = node.buffer(info.handle)?.offset;
                Ok(())
            }
            etna::IOCTL_GEM_CPU_PREP => {
                faults::call("GEM_CPU_PREP")?;
                node.buffer((*argument.cast::<etna::GemCpuPrep>()).handle)
                    .map(drop)
            }
            etna::IOCTL_GEM_CPU_FINI => {
                faults::call("GEM_CPU_FINI")?;
                node.buffer((*argument.cast::<etna::GemCpuFini>()).handle)
                    .map(drop)
            }
            etna::IOCTL_GEM_SUBMIT => {
                faults::call("GEM_SUBMIT")?;
                etnaviv::submit(node, &mut *argument.cast())
            }
            _ => Err(libc::ENOTTY),
        }
    }
}

/// # Safety
/// `version.name` has room for `version.name_len` bytes.
unsafe fn version(node: Object, version: &mut drm::Version) {
    let (name, minor) = match node.kind {
        Kind::Etnaviv => (etna::DRIVER_NAME, 4),
        _ => (rock::DRIVER_NAME, 0),
    };
    let room = version.name_len.min(name.len());
    // SAFETY: by the caller's promise.
    unsafe { ptr::copy_nonoverlapping(name.as_ptr(), version.name as *mut u8, room) };
    version.name_len = name.len();
    version.version_major = 1;
    version.version_minor = minor;
}
