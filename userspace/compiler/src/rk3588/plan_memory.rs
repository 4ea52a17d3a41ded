//! Places feature cubes in one buffer; cubes whose lives do not overlap share memory.

use super::program::{CubeId, Program};

/// Alignment of cubes in bytes.
const ALIGN: usize = 64;
/// Bytes after the last cube that a read burst may touch.
const SLACK: usize = 4096;

/// Steps during which a cube holds data, first and last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The cube; a root.
    pub cube: CubeId,
    /// Step that first writes it.
    pub first: usize,
    /// Step that last reads it.
    pub last: usize,
}

/// Offsets of cubes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    offsets: Vec<Option<usize>>,
    /// Bytes in all.
    pub size: usize,
}

impl Memory {
    /// Byte offset of a root cube. Cubes that nothing uses have none and count as 0.
    pub fn offset(&self, cube: CubeId) -> usize {
        self.offsets
            .get(cube.0 as usize)
            .copied()
            .flatten()
            .unwrap_or(0)
    }
}

/// Places the largest cubes first, each in the lowest gap between those it lives together with.
pub fn plan(program: &Program, lives: &[Life]) -> Memory {
    let mut memory = Memory {
        offsets: vec![None; program.cubes.len()],
        size: 0,
    };
    let bytes = |life: &Life| program.cube(life.cube).bytes().next_multiple_of(ALIGN);
    let mut order: Vec<&Life> = lives.iter().collect();
    order.sort_by_key(|life| (std::cmp::Reverse(bytes(life)), life.cube));
    let mut placed: Vec<(&Life, usize)> = Vec::new();
    for life in order {
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(other, _)| life.first <= other.last && other.first <= life.last)
            .map(|(other, offset)| (*offset, offset + bytes(other)))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if start >= offset + bytes(life) {
                break;
            }
            offset = offset.max(end);
        }
        memory.offsets[life.cube.0 as usize] = Some(offset);
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
    use ferrite_ir::DType;

    #[test]
    fn cubes_that_live_together_do_not_overlap() {
        let mut program = Program::default();
        let mut lives = Vec::new();
        for i in 0..40usize {
            let shape = [1 + i * 7 % 13, 1 + i * 5 % 11, 1 + i * 31 % 97];
            let cube = program.add_cube(shape, DType::I8, None);
            let first = i * 3 % 17;
            lives.push(Life {
                cube,
                first,
                last: first + i % 4,
            });
        }
        let memory = plan(&program, &lives);
        let sum: usize = program.cubes.iter().map(|c| c.bytes()).sum();
        assert!(memory.size < sum);
        for (i, a) in lives.iter().enumerate() {
            for b in &lives[..i] {
                if a.first > b.last || b.first > a.last {
                    continue;
                }
                let (x, y) = (memory.offset(a.cube), memory.offset(b.cube));
                let (m, n) = (program.cube(a.cube).bytes(), program.cube(b.cube).bytes());
                assert!(x + m <= y || y + n <= x, "{a:?} {b:?}");
            }
        }
    }
}
