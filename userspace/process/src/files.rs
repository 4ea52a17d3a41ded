//! Files of a user in folders that others can not write to.
//!
//! A library may run in a process that has more rights than who writes to the folder: what it reads
//! decides what runs, and where it writes must not be for others to choose.

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that belongs to this user (or to root) and that nobody else can write to.
#[derive(Debug)]
pub struct Folder {
    open: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// If it does not exist, or others can write to it.
    pub fn open(path: &Path) -> io::Result<Folder> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let open = openat(nix::fcntl::AT_FDCWD, path, flags, Mode::empty())?;
        safe(&fstat(&open)?)?;
        Ok(Folder {
            open,
            path: path.to_owned(),
        })
    }

    /// Opens a folder, which is made if need be, for this user alone.
    ///
    /// # Errors
    /// As [`Folder::open`]; if it cannot be made.
    pub fn make(path: &Path) -> io::Result<Folder> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path)?;
        Folder::open(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a file of the folder.
    ///
    /// # Errors
    /// If it is not there, no regular file, not this user's or root's, or if others can write to it.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = openat(&self.open, name, flags, Mode::empty())?;
        let stat = fstat(&file)?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(io::Error::other(format!("{name} is no regular file")));
        }
        safe(&stat)?;
        let mut content = Vec::new();
        File::from(file).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Puts a file in the folder, or another in its place: readers see all of it or none.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let part = format!(".{}-{number}.part", std::process::id());
        let written = self.write_new(&part, parts);
        let written = written.and_then(|()| Ok(renameat(&self.open, &*part, &self.open, name)?));
        if written.is_err() {
            // The rename did not take it away.
            let _ = unlinkat(&self.open, &*part, UnlinkatFlags::NoRemoveDir);
        }
        written
    }

    fn write_new(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let made = match openat(&self.open, name, flags, mode) {
            // Of a process that had this number and was killed.
            Err(Errno::EEXIST) => {
                unlinkat(&self.open, name, UnlinkatFlags::NoRemoveDir)?;
                openat(&self.open, name, flags, mode)?
            }
            made => made?,
        };
        let mut file = File::from(made);
        parts.iter().try_for_each(|part| file.write_all(part))
    }
}

/// Whether only this user and root can write to what has this state.
fn safe(stat: &FileStat) -> io::Result<()> {
    let ours = stat.st_uid == 0 || stat.st_uid == geteuid().as_raw();
    if ours && stat.st_mode & (libc::S_IWGRP | libc::S_IWOTH) == 0 {
        return Ok(());
    }
    let why = "other users can write to it (chmod go-w), or it is another user's";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}
