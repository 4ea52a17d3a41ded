//! Who has touched which memory last.

use std::collections::BTreeMap;
use std::ops::Range;

use smallvec::SmallVec;

/// A piece of memory: who wrote it last, and who has read it since.
#[derive(Clone, Debug, Default)]
struct Piece {
    end: usize,
    writer: Option<usize>,
    readers: SmallVec<[usize; 3]>,
}

/// The last accesses to every piece of memory.
#[derive(Clone, Debug, Default)]
pub struct LastAccess {
    /// By first byte; pieces do not overlap.
    pieces: BTreeMap<usize, Piece>,
}

impl LastAccess {
    /// Cuts pieces so that one begins at `at`, if any lies there.
    fn cut(&mut self, at: usize) {
        let Some((&start, piece)) = self.pieces.range_mut(..at).next_back() else {
            return;
        };
        if piece.end <= at {
            return;
        }
        debug_assert!(start < at);
        let rest = piece.clone();
        piece.end = at;
        self.pieces.insert(at, rest);
    }

    /// Notes that `step` reads some bytes; adds to `waits` the steps that have written them.
    pub fn read(&mut self, step: usize, bytes: Range<usize>, waits: &mut Vec<usize>) {
        self.cut(bytes.start);
        self.cut(bytes.end);
        let mut at = bytes.start;
        let mut gaps: SmallVec<[Range<usize>; 4]> = SmallVec::new();
        for (&start, piece) in self.pieces.range_mut(bytes.clone()) {
            if at < start {
                gaps.push(at..start);
            }
            at = piece.end;
            waits.extend(piece.writer.filter(|&writer| writer != step));
            if !piece.readers.contains(&step) {
                piece.readers.push(step);
            }
        }
        if at < bytes.end {
            gaps.push(at..bytes.end);
        }
        for gap in gaps {
            let piece = Piece {
                end: gap.end,
                writer: None,
                readers: [step].into_iter().collect(),
            };
            self.pieces.insert(gap.start, piece);
        }
    }

    /// Notes that `step` writes some bytes; adds to `waits` the steps that have written or read them.
    pub fn write(&mut self, step: usize, bytes: Range<usize>, waits: &mut Vec<usize>) {
        self.cut(bytes.start);
        self.cut(bytes.end);
        let covered: SmallVec<[usize; 8]> = self
            .pieces
            .range(bytes.clone())
            .map(|(&start, _)| start)
            .collect();
        for start in covered {
            if let Some(piece) = self.pieces.remove(&start) {
                let before = piece.readers.into_iter().chain(piece.writer);
                waits.extend(before.filter(|&before| before != step));
            }
        }
        let piece = Piece {
            end: bytes.end,
            writer: Some(step),
            readers: SmallVec::new(),
        };
        self.pieces.insert(bytes.start, piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the accesses to every byte by itself.
    #[test]
    fn pieces_remember_what_bytes_would() {
        let mut state = 7_u64;
        let mut random = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        let mut last = LastAccess::default();
        let mut bytes: Vec<(Option<usize>, Vec<usize>)> = vec![(None, Vec::new()); 64];
        for step in 0..400 {
            let start = random(60);
            let range = start..start + 1 + random(63 - start);
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            if random(2) == 0 {
                last.read(step, range.clone(), &mut found);
                for byte in &mut bytes[range] {
                    expected.extend(byte.0);
                    byte.1.push(step);
                }
            } else {
                last.write(step, range.clone(), &mut found);
                for byte in &mut bytes[range] {
                    expected.extend(byte.0);
                    expected.append(&mut byte.1);
                    byte.0 = Some(step);
                }
            }
            for list in [&mut found, &mut expected] {
                list.sort_unstable();
                list.dedup();
            }
            assert_eq!(found, expected, "step {step}");
        }
    }
}
