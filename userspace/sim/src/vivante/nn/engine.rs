//! The arithmetic of a convolution, over all pixels and kernels.
//!
//! Kernels are taken 32 at a time. For each such group only the taps and the range of channels
//! count that have a weight other than zero: a depthwise convolution, which this NPU runs as a
//! dense one, costs a thirty-second of its channels.

use super::decode::Layer;
use super::stream::Kernel;
use crate::memory::Memory;
use crate::rk3588::mac::{LANES, PIXELS, Window, tiles};
use crate::vivante::fault::{Check, FaultKind, Unit};
use ferrite_process::memory::fallible;
use ferrite_process::parallel;

/// Largest input with its border, in bytes; the descriptor's fields would allow far more.
const MAX_IMAGE_BYTES: u64 = 1 << 28;

/// Output pixels that one thread takes at a time.
const BAND: usize = 1024;

/// An input with its border, pixel by pixel: pairs of channels in 32-bit words.
pub(super) struct Image {
    data: Vec<i32>,
    /// Pairs of channels.
    pairs: usize,
    /// Pixels of a row, border included.
    width: usize,
}

impl Image {
    pub(super) fn read(memory: &dyn Memory, layer: &Layer) -> Check<Image> {
        let input = &layer.input;
        let (width, pairs) = (row_pixels(layer), pixel_pairs(layer));
        let height = (layer.output.height * layer.stride + layer.kernel_y - 1) as usize;
        let depth = u64::from(layer.kernel_z);
        let size = (width as u64 * height as u64)
            .max(u64::from(input.width) * u64::from(input.height))
            .saturating_mul(depth);
        if size > MAX_IMAGE_BYTES {
            return Err(FaultKind::NotModelled("images of more than 2^28 bytes"));
        }
        let planes = read_planes(memory, layer)?;
        let (columns, rows) = (input.width as usize, input.height as usize);
        let border = i32::from(layer.border);
        let mut data = memory_for(width * height * pairs)?;
        data.resize(width * height * pairs, border | border << 16);
        if layer.kernel_z % 2 == 1 {
            // The missing channel must not count: its weight is 0.
            data.iter_mut()
                .skip(pairs - 1)
                .step_by(pairs)
                .for_each(|word| *word &= 0xffff);
        }
        let first = (layer.x_offset.min(0).unsigned_abs() as usize).min(width);
        let skip = layer.x_offset.max(0) as usize;
        let count = columns.saturating_sub(skip).min(width - first);
        parallel::chunks_mut(&mut data, width * pairs, |row, out| {
            let y = row as i64 + i64::from(layer.y_offset);
            if y < 0 || y >= rows as i64 || count == 0 {
                return;
            }
            let out = &mut out[first * pairs..];
            for (pair, two) in planes.chunks(2 * rows * columns).enumerate() {
                let at = y as usize * columns + skip;
                let low = &two[at..at + count];
                let words = out[pair..].iter_mut().step_by(pairs);
                match two.get(rows * columns + at..rows * columns + at + count) {
                    Some(high) => {
                        for ((word, &a), &b) in words.zip(low).zip(high) {
                            *word = i32::from(a) | i32::from(b) << 16;
                        }
                    }
                    None => {
                        for (word, &a) in words.zip(low) {
                            *word = i32::from(a);
                        }
                    }
                }
            }
        });
        Ok(Image { data, pairs, width })
    }
}

/// Pixels of an image's row, border included.
fn row_pixels(layer: &Layer) -> usize {
    (layer.output.width * layer.stride + layer.kernel_x - 1) as usize
}

/// Pairs of channels of a pixel.
fn pixel_pairs(layer: &Layer) -> usize {
    layer.kernel_z.div_ceil(2) as usize
}

/// Room for an image's elements, which a job's descriptor decides.
fn memory_for<T>(count: usize) -> Check<Vec<T>> {
    let mut vec = Vec::new();
    let found = fallible(|| vec.try_reserve_exact(count));
    found.map_err(|_| FaultKind::NotModelled("images larger than this machine's memory"))?;
    Ok(vec)
}

/// All planes of the input, without gaps.
fn read_planes(memory: &dyn Memory, layer: &Layer) -> Check<Vec<u8>> {
    let input = &layer.input;
    let plane = input.width as usize * input.height as usize;
    let mut bytes = memory_for(plane * layer.kernel_z as usize)?;
    bytes.resize(plane * layer.kernel_z as usize, 0);
    let fault = FaultKind::memory(Unit::Image);
    if input.is_tight() {
        memory
            .read(input.address.into(), &mut bytes)
            .map_err(fault)?;
        return Ok(bytes);
    }
    for (z, plane) in bytes.chunks_exact_mut(plane).enumerate() {
        for (y, row) in plane.chunks_exact_mut(input.width as usize).enumerate() {
            memory
                .read(input.row(y as u32, z as u32), row)
                .map_err(&fault)?;
        }
    }
    Ok(bytes)
}

/// Weights of up to 32 kernels, for the part of the window where any is not zero.
pub(super) struct Group {
    /// How many kernels, and their biases.
    count: usize,
    biases: [i32; LANES],
    /// `[run][pair][kernel]`.
    weights: Vec<i32>,
    /// Start of each tap that counts, relative to the window's first pair.
    runs: Vec<usize>,
    /// Pairs of channels that count.
    run: usize,
}

impl Group {
    /// All groups of a layer.
    pub(super) fn all(layer: &Layer, kernels: &[Kernel]) -> Vec<Group> {
        parallel::map(kernels.len().div_ceil(LANES), |group| {
            let kernels = &kernels[group * LANES..];
            Group::new(layer, &kernels[..kernels.len().min(LANES)])
        })
    }

    /// Words of weights.
    pub(super) fn words(&self) -> usize {
        self.weights.len()
    }

    fn new(layer: &Layer, kernels: &[Kernel]) -> Self {
        let depth = layer.kernel_z as usize;
        let taps = (layer.kernel_x * layer.kernel_y) as usize;
        let pairs = pixel_pairs(layer);
        // Which pairs of channels count, of each tap.
        let mut used = vec![false; taps * pairs];
        for &(position, _) in kernels.iter().flat_map(|k| &k.weights) {
            let (tap, z) = (position as usize / depth, position as usize % depth);
            used[tap * pairs + z / 2] = true;
        }
        let (run, firsts) = Group::runs(&used, pairs);
        let start = |&(tap, low): &(usize, usize)| {
            let (x, y) = (tap % layer.kernel_x as usize, tap / layer.kernel_x as usize);
            (y * row_pixels(layer) + x) * pairs + low
        };
        // Where the weights of each pair lie.
        let mut slots = vec![0; taps * pairs];
        for (i, &(tap, low)) in firsts.iter().enumerate() {
            for (j, slot) in slots[tap * pairs + low..][..run].iter_mut().enumerate() {
                *slot = i * run + j;
            }
        }
        let mut words = vec![0i32; firsts.len() * run * LANES];
        let halves: &mut [[i16; 2]] = bytemuck::cast_slice_mut(&mut words);
        for (lane, kernel) in kernels.iter().enumerate() {
            for &(position, weight) in &kernel.weights {
                let (tap, z) = (position as usize / depth, position as usize % depth);
                halves[slots[tap * pairs + z / 2] * LANES + lane][z % 2] = weight;
            }
        }
        let mut biases = [0; LANES];
        for (bias, kernel) in biases.iter_mut().zip(kernels) {
            *bias = kernel.bias;
        }
        Group {
            count: kernels.len(),
            biases,
            weights: words,
            runs: firsts.iter().map(start).collect(),
            run,
        }
    }

    /// Length and beginnings (tap and pair) of runs of pairs that hold all that are used. One run of the
    /// same range for each tap that is used; single pairs if they are few, as where a layer takes each
    /// channel by itself and in another order.
    fn runs(used: &[bool], pairs: usize) -> (usize, Vec<(usize, usize)>) {
        let taps = || used.chunks_exact(pairs).enumerate();
        let positions = |tap: &[bool]| (0..pairs).filter(|&pair| tap[pair]).collect::<Vec<_>>();
        let single: Vec<(usize, usize)> = taps()
            .flat_map(|(tap, used)| positions(used).into_iter().map(move |pair| (tap, pair)))
            .collect();
        let low = single.iter().map(|run| run.1).min().unwrap_or(0);
        let run = single.iter().map(|run| run.1 + 1 - low).max().unwrap_or(0);
        let ranges: Vec<(usize, usize)> = taps()
            .filter(|(_, used)| used.contains(&true))
            .map(|(tap, _)| (tap, low))
            .collect();
        if single.len() * SINGLE < ranges.len() * run {
            return (1, single);
        }
        (run, ranges)
    }
}

/// What a pair by itself costs, in pairs of a run.
const SINGLE: usize = 3;

/// Computes the output plane of each kernel.
pub(super) fn convolve(layer: &Layer, image: &Image, groups: &[Group]) -> Check<Vec<Vec<u8>>> {
    let pixels = layer.output.width as usize * layer.output.height as usize;
    let kernels: usize = groups.iter().map(|group| group.count).sum();
    let parts: Vec<(usize, usize)> = (0..groups.len())
        .flat_map(|group| (0..pixels).step_by(BAND).map(move |first| (group, first)))
        .collect();
    let lengths = |(group, first): (usize, usize)| {
        let len = pixels.min(first + BAND) - first;
        (groups[group].count, len)
    };
    let mut computed = memory_for(kernels * pixels)?;
    computed.resize(kernels * pixels, 0);
    let (mut rest, mut bands) = (&mut computed[..], memory_for(parts.len())?);
    for &part in &parts {
        let (kernels, len) = lengths(part);
        let (band, behind) = rest.split_at_mut(kernels * len);
        bands.push(band);
        rest = behind;
    }
    parallel::chunks_mut(&mut bands, 1, |index, out| {
        let (group, first) = parts[index];
        let range = first..pixels.min(first + BAND);
        band(layer, image, &groups[group], range, out[0]);
    });
    let planes = (0..kernels).map(|_| memory_for(pixels));
    let mut planes = planes.collect::<Check<Vec<Vec<u8>>>>()?;
    for (&part, bytes) in parts.iter().zip(&bands) {
        let (_, len) = lengths(part);
        let planes = &mut planes[part.0 * LANES..];
        for (plane, row) in planes.iter_mut().zip(bytes.chunks_exact(len)) {
            plane.extend_from_slice(row);
        }
    }
    Ok(planes)
}

/// Computes the output of some pixels, `[kernel][pixel]`.
fn band(
    layer: &Layer,
    image: &Image,
    group: &Group,
    pixels: std::ops::Range<usize>,
    out: &mut [u8],
) {
    let len = pixels.len();
    let width = layer.output.width as usize;
    let stride = layer.stride as usize;
    let scale = Scale::new(layer);
    let windows = (0..len).step_by(PIXELS).map(|start| Window {
        data: &image.data,
        pixels: std::array::from_fn(|p| {
            let pixel = pixels.start + (start + p).min(len - 1);
            let (x, y) = (pixel % width * stride, pixel / width * stride);
            (y * image.width + x) * image.pairs
        }),
        runs: &group.runs,
        run: group.run,
    });
    tiles(
        &group.weights,
        windows,
        #[inline(always)]
        |index, tile| {
            let start = index * PIXELS;
            let mut rows = [[0; LANES]; PIXELS];
            for (row, sums) in rows.iter_mut().zip(tile) {
                for ((value, &sum), &bias) in row.iter_mut().zip(sums).zip(&group.biases) {
                    *value = scale.apply(sum.wrapping_add(bias));
                }
            }
            let columns = transposed(&rows);
            let count = PIXELS.min(len - start);
            for (lane, pixels) in columns.iter().enumerate().take(group.count) {
                let to = &mut out[lane * len + start..];
                match to.first_chunk_mut::<PIXELS>() {
                    Some(to) if count == PIXELS => *to = *pixels,
                    _ => to[..count].copy_from_slice(&pixels[..count]),
                }
            }
        },
    );
}

/// `[kernel][pixel]` of `[pixel][kernel]`, in steps that are vector instructions.
#[inline(always)]
fn transposed(rows: &[[u8; LANES]; PIXELS]) -> [[u8; PIXELS]; LANES] {
    let mut halves = [[0; 2 * LANES]; 4];
    for (i, to) in halves.iter_mut().enumerate() {
        interleave(&rows[i], &rows[i + 4], to);
    }
    let mut quarters = [[0; 4 * LANES]; 2];
    for (i, to) in quarters.iter_mut().enumerate() {
        interleave(&halves[i], &halves[i + 2], to);
    }
    let mut all = [[0; PIXELS]; LANES];
    interleave(&quarters[0], &quarters[1], all.as_flattened_mut());
    all
}

#[inline(always)]
fn interleave(a: &[u8], b: &[u8], to: &mut [u8]) {
    for ((to, &a), &b) in to.as_chunks_mut::<2>().0.iter_mut().zip(a).zip(b) {
        *to = [a, b];
    }
}

/// From accumulator to output byte.
struct Scale {
    least: i32,
    multiplier: i32,
    half: i64,
    shift: u32,
    zero_point: i64,
}

impl Scale {
    fn new(layer: &Layer) -> Self {
        // The product has at most 48 bits: larger shifts leave nothing either.
        let shift = layer.shift.min(62);
        Scale {
            least: if layer.relu { 0 } else { i32::MIN },
            // 16 bits at most.
            multiplier: layer.multiplier as i32,
            half: (1 << shift) >> 1,
            shift,
            zero_point: layer.out_zero_point.into(),
        }
    }

    /// Rounds to nearest, ties away from zero.
    #[inline(always)]
    fn apply(&self, sum: i32) -> u8 {
        let product = i64::from(sum.max(self.least)) * i64::from(self.multiplier);
        let sign = product >> 63;
        let rounded = ((product ^ sign) - sign + self.half) >> self.shift;
        ((rounded ^ sign) - sign + self.zero_point).clamp(0, 255) as u8
    }
}
