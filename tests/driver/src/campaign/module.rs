//! Unloading the driver's module under load.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

use super::kinds::kill;
use crate::cases::{Fail, Rig, bound, check};
use crate::device::Device;

/// Where the module is: the folder of `DRIVER_MODULES`, or the board's.
fn file(name: &str) -> PathBuf {
    let folder =
        std::env::var_os("DRIVER_MODULES").map_or("/mnt/board/modules".into(), PathBuf::from);
    folder.join(format!("{name}.ko"))
}

fn unload(name: &CString) -> io::Result<()> {
    // SAFETY: The name is a C string.
    let ret = unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) };
    if ret == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Unloads the module when its last client was killed, and loads it again.
pub fn reload(after_us: u64) -> Result<(), Fail> {
    let (folder, _) = bound()?;
    let driver = folder
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Fail("no driver".into()))?
        .to_owned();
    let name = CString::new(driver.clone()).map_err(|_| Fail("a strange name".into()))?;
    // The file is read before anything is gone.
    let module = File::open(file(&driver))?;
    {
        let device = Device::open()?;
        let rig = Rig::new(&device)?;
        rig.submit_job(20)?;
        check(
            unload(&name).is_err(),
            "the module goes while a file is open",
        )?;
    }
    kill(after_us)?;
    // The file's last reference may go a little later.
    let mut gone = unload(&name);
    for _ in 0..100 {
        if gone.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        gone = unload(&name);
    }
    gone.map_err(|error| Fail(format!("the module does not go: {error}")))?;
    // SAFETY: The descriptor is open, the parameters are an empty C string.
    let ret = unsafe { libc::syscall(libc::SYS_finit_module, module.as_raw_fd(), c"".as_ptr(), 0) };
    if ret != 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(())
}
