//! How much memory a file's graph may take.

use super::ReadError;

/// Memory that the graph may take. FlatBuffer references can share targets, so a small file can
/// describe a huge graph (a million tensors with one common shape vector); no writer makes such
/// files, and what one makes stays far under the limit.
pub(super) struct Budget {
    used: usize,
    limit: usize,
}

impl Budget {
    /// Bytes of graph for one byte of file. The tightest tensor table takes about a tenth of its
    /// [`crate::Tensor`].
    const PER_BYTE: usize = 16;
    /// Bytes that any file may take.
    const BASE: usize = 1 << 16;

    pub(super) fn new(file: usize) -> Self {
        Budget {
            used: 0,
            limit: file
                .saturating_mul(Self::PER_BYTE)
                .saturating_add(Self::BASE),
        }
    }

    /// Accounts for `bytes` before they are allocated or worked through.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), ReadError> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.limit {
            return Err(ReadError::Bloated {
                needed: self.used,
                limit: self.limit,
            });
        }
        Ok(())
    }
}
