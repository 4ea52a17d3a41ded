//! What a program of ours does where there is no memory.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::{self, Write};

use nix::libc;
use nix::unistd::write;

thread_local! {
    /// Whether the thread looks at what it gets.
    static FALLIBLE: Cell<bool> = const { Cell::new(false) };
}

/// Asks for memory by way of `ask`, which says what to do without it.
pub fn fallible<T>(ask: impl FnOnce() -> T) -> T {
    /// Sets back what was, however `ask` ends.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            // A thread that ends asks for nothing more.
            let _ = FALLIBLE.try_with(|fallible| fallible.set(self.0));
        }
    }
    let before = FALLIBLE.try_with(|fallible| fallible.replace(true));
    let _before = Before(before.unwrap_or(false));
    ask()
}

/// The system's allocator for a program that is its own process. Where there is no memory for what
/// nobody asked for by way of [`fallible`], it says so and ends the process with exit code 1, where
/// Rust's default raises a signal, as if the program had a fault.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: all memory comes from and goes back to the system's allocator, with the layouts that it was
// asked for.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        found(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        found(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        found(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[inline]
fn found(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() && !FALLIBLE.try_with(Cell::get).unwrap_or(false) {
        end(size);
    }
    memory
}

/// Says how much memory is missing, without asking for any.
#[cold]
fn end(size: usize) -> ! {
    let mut line = Line::default();
    // Longer than any number of bytes needs; and nobody may read it.
    let _ = writeln!(
        line,
        "ferrite: there is no memory for {size} bytes: give the process more"
    );
    let _ = write(std::io::stderr(), &line.bytes[..line.len]);
    // SAFETY: ends the process, without what it registered to be called at its end.
    unsafe { libc::_exit(1) }
}

/// Text on the stack.
struct Line {
    bytes: [u8; 96],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            bytes: [0; 96],
            len: 0,
        }
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len());
        room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_is_of_the_innermost_call() {
        let state = || FALLIBLE.with(Cell::get);
        assert!(!state());
        fallible(|| {
            assert!(fallible(state));
            assert!(state());
        });
        assert!(!state());
        assert!(std::panic::catch_unwind(|| fallible(|| panic!("on purpose"))).is_err());
        assert!(!state());
    }
}
