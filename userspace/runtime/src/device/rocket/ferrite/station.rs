//! An open node of our driver, one for a process: what its programs have in common is on it once.

use super::super::super::DeviceError;
use super::super::super::drm::{Node, system};
use super::buffer::Buffer;
use super::ioctl;
use ferrite_compiler::content::Content;
use ferrite_compiler::executable::Role;
use ferrite_uapi::ferrite as uapi;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};

/// See the module.
#[derive(Debug)]
pub struct Station {
    pub node: Arc<Node>,
    /// What the driver says of itself.
    pub info: uapi::DeviceInfo,
    path: PathBuf,
    constants: Mutex<Vec<Weak<Constants>>>,
}

/// A buffer that nothing writes to any more.
#[derive(Debug)]
pub struct Constants {
    buffer: Buffer,
    /// Bytes at its beginning that are not just zero.
    len: usize,
    size: usize,
}

impl Constants {
    /// The buffer.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }
}

/// What this process, or one that it was forked from, has open.
static OPEN: Mutex<Vec<Weak<Station>>> = Mutex::new(Vec::new());

/// The process' station for a node that has just been opened; `None` if it is not our driver's.
pub fn station(node: &Arc<Node>, path: &Path) -> Result<Option<Arc<Station>>, DeviceError> {
    let ask = |node: &Node| {
        ioctl::query(node)
            .map_err(|e| system(format!("asking {} for its extensions", path.display()), e))
    };
    let mut open = match OPEN.try_lock() {
        Ok(open) => Some(open),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        // Held by another thread, maybe by one that only the process' parent has: to share is not worth
        // waiting for.
        Err(TryLockError::WouldBlock) => None,
    };
    if let Some(open) = &mut open {
        open.retain(|station| station.strong_count() > 0);
        let ours = |station: &Arc<Station>| station.path == path && station.node.is_ours();
        let known = open.iter().filter_map(Weak::upgrade).find(ours);
        // A node whose driver has gone may have a successor of the same name.
        if let Some(station) = known.filter(|station| matches!(ask(&station.node), Ok(Some(_)))) {
            return Ok(Some(station));
        }
    }
    let Some(info) = ask(node)? else {
        return Ok(None);
    };
    let station = Arc::new(Station {
        node: Arc::clone(node),
        info,
        path: path.to_owned(),
        constants: Mutex::new(Vec::new()),
    });
    if let Some(open) = &mut open {
        open.push(Arc::downgrade(&station));
    }
    Ok(Some(station))
}

impl Station {
    /// A buffer of `size` bytes that begins with `content` and is zero beyond: the one that another
    /// program has already, or a new one.
    pub fn constants(&self, content: &Content, size: usize) -> Result<Arc<Constants>, DeviceError> {
        let len = content.len();
        let mut known = self
            .constants
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.retain(|constants| constants.strong_count() > 0);
        let alike = |constants: &Arc<Constants>| constants.size == size && constants.len == len;
        let mut alike = known
            .iter()
            .filter_map(Weak::upgrade)
            .filter(alike)
            .peekable();
        if alike.peek().is_some() {
            let bytes = content.bytes();
            if let Some(same) = alike.find(|same| same.buffer.bytes()[..len] == *bytes) {
                return Ok(same);
            }
        }
        drop(alike);
        let mut buffer = Buffer::new(&self.node, size, Role::Constants)?;
        content.write(buffer.fill(len));
        buffer.give()?;
        let constants = Arc::new(Constants { buffer, len, size });
        known.push(Arc::downgrade(&constants));
        Ok(constants)
    }
}
