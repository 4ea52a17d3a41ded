//! Places feature maps in one buffer; maps whose lives do not overlap share memory.

use crate::npu::MapId;
use ferrite_ir::SecondaryMap;

/// Alignment of maps in bytes.
const ALIGN: usize = 64;
/// Bytes after the last map that a read burst may touch.
const SLACK: usize = 4096;

/// Steps during which a map holds data, first and last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The map; a root.
    pub map: MapId,
    /// Its size in bytes.
    pub bytes: usize,
    /// Step that first writes it.
    pub first: usize,
    /// Step that last reads it.
    pub last: usize,
}

/// Offsets of maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// By map.
    offsets: SecondaryMap<MapId, usize>,
    /// Bytes in all.
    pub size: usize,
}

impl Memory {
    /// Byte offset of a root map. Maps that nothing uses have none and count as 0.
    pub fn offset(&self, map: MapId) -> usize {
        self.offsets[map]
    }
}

/// Places the largest maps first, each in the lowest gap between those it lives together with.
pub fn plan(lives: &[Life]) -> Memory {
    let mut memory = Memory::default();
    let bytes = |life: &Life| life.bytes.next_multiple_of(ALIGN);
    let mut order: Vec<&Life> = lives.iter().collect();
    order.sort_by_key(|life| (std::cmp::Reverse(bytes(life)), life.map));
    let mut placed: Vec<(&Life, usize)> = Vec::new();
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for life in order {
        let together = placed
            .iter()
            .filter(|(other, _)| life.first <= other.last && other.first <= life.last);
        taken.clear();
        taken.extend(together.map(|(other, offset)| (*offset, offset + bytes(other))));
        taken.sort_unstable();
        let mut offset = 0;
        for &(start, end) in &taken {
            if start >= offset + bytes(life) {
                break;
            }
            offset = offset.max(end);
        }
        memory.offsets[life.map] = offset;
        memory.size = memory.size.max(offset + bytes(life));
        placed.push((life, offset));
    }
    if memory.size > 0 {
        memory.size += SLACK;
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_live_together_do_not_overlap() {
        let lives: Vec<Life> = (0..40usize)
            .map(|i| Life {
                map: MapId::from_u32(i as u32),
                bytes: (1 + i * 7 % 13) * (1 + i * 5 % 11) * (1 + i * 31 % 97),
                first: i * 3 % 17,
                last: i * 3 % 17 + i % 4,
            })
            .collect();
        let memory = plan(&lives);
        let sum: usize = lives.iter().map(|life| life.bytes).sum();
        assert!(memory.size < sum);
        for (i, a) in lives.iter().enumerate() {
            for b in &lives[..i] {
                if a.first > b.last || b.first > a.last {
                    continue;
                }
                let (x, y) = (memory.offset(a.map), memory.offset(b.map));
                assert!(x + a.bytes <= y || y + b.bytes <= x, "{a:?} {b:?}");
            }
        }
    }
}
