//! Weight fetch: blocks of 1 KiB in, panels for the inner loops out.

use super::super::fault::{Check, DmaUnit, FaultKind};
use super::super::mac::LANES;
use super::cna::{Conv, DEPTHWISE_GROUP, KERNEL_GROUP};
use crate::memory::Memory;
use ferrite_process::parallel;
use std::collections::HashMap;
use std::sync::Arc;

/// Weights of one kernel group.
pub(crate) struct GroupPanel {
    /// As they lie in memory.
    bytes: Vec<u8>,
    /// CPEND operand added. Direct: `[tap][channel pair][kernel]`, two int16 in a word. Depthwise:
    /// `[tap][channel]`, an int16 and a zero in a word.
    pub words: Vec<i32>,
}

/// Panels of all kernel groups.
pub(crate) type Panels = Arc<Vec<Arc<GroupPanel>>>;

/// What panels depend on besides the bytes: address, kernels, bytes of a kernel, its extent, channels,
/// groups, kind.
type Key = (u32, u32, u32, [u32; 2], u32, u32, bool);

/// Panels of earlier tasks, which the next inference needs again if memory still has the same bytes.
#[derive(Clone, Default)]
pub(crate) struct Known {
    panels: HashMap<Key, (Added, Panels)>,
    words: usize,
}

/// Words that are kept; more than any model that was seen has.
const MOST_WORDS: usize = 1 << 23;

impl Known {
    fn find(&self, key: &Key, added: &Added) -> Option<&Panels> {
        let (with, panels) = self.panels.get(key)?;
        (with == added).then_some(panels)
    }

    fn keep(&mut self, key: Key, added: Added, panels: Panels) {
        self.words += panels.iter().map(|panel| panel.words.len()).sum::<usize>();
        if self.words > MOST_WORDS {
            *self = Known::default();
            return;
        }
        self.panels.insert(key, (added, panels));
    }
}

/// What CPEND adds to every weight of an output channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Added {
    /// The same for all channels; 0 without CPEND.
    All(i16),
    /// By output channel.
    Channels(Vec<i16>),
}

impl Added {
    fn of(&self, channel: usize) -> i16 {
        match self {
            Added::All(value) => *value,
            Added::Channels(values) => values[channel],
        }
    }

    fn values(&self) -> &[i16] {
        match self {
            Added::All(value) => std::slice::from_ref(value),
            Added::Channels(values) => values,
        }
    }

    /// The largest magnitude.
    pub(crate) fn largest(&self) -> u16 {
        let magnitudes = self.values().iter().map(|value| value.unsigned_abs());
        magnitudes.max().unwrap_or(0)
    }

    fn check(&self) -> Check {
        if self
            .values()
            .iter()
            .all(|value| (-32640..=32640).contains(value))
        {
            return Ok(());
        }
        Err(FaultKind::NotModelled("CPEND operands beyond 15 bits"))
    }

    /// Whether anything is added to any weight.
    pub(crate) fn is_any(&self) -> bool {
        match self {
            Added::All(value) => *value != 0,
            Added::Channels(values) => values.iter().any(|&value| value != 0),
        }
    }
}

/// Fetches all weights, with what CPEND adds to them.
pub(crate) fn fetch(
    conv: &Conv,
    added: &Added,
    memory: &dyn Memory,
    known: &mut Known,
) -> Check<Panels> {
    added.check()?;
    let groups = conv.out_channels / conv.group();
    let key = (
        conv.weight_address,
        conv.kernels,
        conv.kernel_bytes,
        conv.kernel,
        conv.channels,
        groups,
        conv.depthwise,
    );
    let before = known.find(&key, added);
    let one = |g: u32| -> Check<Arc<GroupPanel>> {
        let bytes = group_bytes(conv, g, memory)?;
        if let Some(panel) = before.map(|panels| &panels[g as usize])
            && panel.bytes == bytes
        {
            return Ok(Arc::clone(panel));
        }
        let words = match conv.depthwise {
            true => depthwise_group(conv, g, added, &bytes),
            false => direct_group(conv, g, added, &bytes)?,
        };
        Ok(Arc::new(GroupPanel { bytes, words }))
    };
    let panels: Check<Vec<_>> = if groups > 1 && conv.weight_bytes() > 1 << 14 {
        let panels = parallel::map(groups as usize, |g| one(g as u32));
        panels.into_iter().collect()
    } else {
        (0..groups).map(one).collect()
    };
    let panels = panels?;
    if let Some(before) = before
        && before.iter().zip(&panels).all(|(a, b)| Arc::ptr_eq(a, b))
    {
        return Ok(Arc::clone(before));
    }
    let panels = Arc::new(panels);
    known.keep(key, added.clone(), Arc::clone(&panels));
    Ok(panels)
}

/// The weights of a group as they lie in memory.
fn group_bytes(conv: &Conv, group: u32, memory: &dyn Memory) -> Check<Vec<u8>> {
    if conv.depthwise {
        let taps = (conv.kernel[0] * conv.kernel[1]) as usize;
        let first = (group * DEPTHWISE_GROUP) as usize;
        return read(
            conv,
            (first * taps) as u64,
            depth(conv, group) * taps,
            memory,
        );
    }
    let first = group * KERNEL_GROUP;
    let kernels = (conv.kernels - first).min(KERNEL_GROUP) as usize;
    let offset = u64::from(first) * u64::from(conv.kernel_bytes);
    read(conv, offset, kernels * conv.kernel_bytes as usize, memory)
}

/// Channels of a depthwise group.
fn depth(conv: &Conv, group: u32) -> usize {
    (conv.channels - group * DEPTHWISE_GROUP).min(DEPTHWISE_GROUP) as usize
}

fn read(conv: &Conv, offset: u64, len: usize, memory: &dyn Memory) -> Check<Vec<u8>> {
    let mut bytes = vec![0; len];
    memory
        .read(u64::from(conv.weight_address) + offset, &mut bytes)
        .map_err(FaultKind::memory(DmaUnit::Weights))?;
    Ok(bytes)
}

/// Memory order: blocks of the array's channels (of the last what is left), taps, kernels of the group,
/// channels.
fn direct_group(conv: &Conv, group: u32, added: &Added, bytes: &[u8]) -> Check<Vec<i32>> {
    let first = group * KERNEL_GROUP;
    let kernels = (conv.kernels - first).min(KERNEL_GROUP) as usize;
    let channels = conv.channels as usize;
    let taps = (conv.kernel[0] * conv.kernel[1]) as usize;
    let mut panel = vec![0i32; taps * channels / 2 * LANES];
    let mut at = 0;
    let lanes = conv.split.chip.mac_lanes;
    for block in (0..channels).step_by(lanes) {
        let depth = (channels - block).min(lanes);
        for tap in 0..taps {
            let to = &mut panel[(tap * channels + block) / 2 * LANES..][..depth / 2 * LANES];
            let added = |kernel| added.of(first as usize + kernel);
            transpose(&bytes[at..at + kernels * depth], depth, to, added);
            at += kernels * depth;
        }
    }
    check_range(conv, &panel)?;
    Ok(panel)
}

/// `[kernel][channel]` bytes to `[channel pair][kernel]` words.
fn transpose(bytes: &[u8], depth: usize, panel: &mut [i32], added: impl Fn(usize) -> i16) {
    for (kernel, row) in bytes.chunks_exact(depth).enumerate() {
        let added = added(kernel);
        let weight = |b: u8| i16::from(b as i8) + added;
        for (pair, lanes) in row.chunks_exact(2).zip(panel.chunks_exact_mut(LANES)) {
            lanes[kernel] = bytemuck::cast([weight(pair[0]), weight(pair[1])]);
        }
    }
}

/// Memory order: groups of 64 channels (the last what is left), taps, channels.
fn depthwise_group(conv: &Conv, group: u32, added: &Added, bytes: &[u8]) -> Vec<i32> {
    let first = (group * DEPTHWISE_GROUP) as usize;
    bytes
        .chunks_exact(depth(conv, group))
        .flat_map(|tap| tap.iter().enumerate())
        .map(|(channel, &b)| {
            // No more than 16 bits: `Added::check` has seen to that.
            let weight = i16::from(b as i8) + added.of(first + channel);
            bytemuck::cast([weight, 0])
        })
        .collect()
}

/// The accumulator is 32 bits here; the chip's width beyond that is unknown.
fn check_range(conv: &Conv, panel: &[i32]) -> Check {
    let limit = i64::from(i32::MAX) / 128;
    if i64::from(conv.kernel_bytes) * 256 <= limit {
        return Ok(());
    }
    let mut sums = [0i64; LANES];
    for lanes in panel.chunks_exact(LANES) {
        for (sum, &word) in sums.iter_mut().zip(lanes) {
            let pair: [i16; 2] = bytemuck::cast(word);
            *sum += pair
                .iter()
                .map(|w| i64::from(w.unsigned_abs()))
                .sum::<i64>();
        }
    }
    if sums.iter().any(|&s| s > limit) {
        return Err(FaultKind::NotModelled(
            "accumulators that may exceed 32 bits",
        ));
    }
    Ok(())
}
