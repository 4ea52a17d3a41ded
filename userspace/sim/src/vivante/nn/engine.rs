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
        let width = (layer.output.width * layer.stride + layer.kernel_x - 1) as usize;
        let height = (layer.output.height * layer.stride + layer.kernel_y - 1) as usize;
        let pairs = layer.kernel_z.div_ceil(2) as usize;
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

/// All planes of the input, without gaps.
/// Room for an image's elements, which a job's descriptor decides.
fn memory_for<T>(count: usize) -> Check<Vec<T>> {
    let mut vec = Vec::new();
    let found = vec.try_reserve_exact(count);
    found.map_err(|_| FaultKind::NotModelled("images larger than this machine's memory"))?;
    Ok(vec)
}

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
struct Group<'a> {
    kernels: &'a [Kernel],
    /// `[run][pair][kernel]`.
    weights: Vec<i32>,
    /// Start of each tap that counts, relative to the window's first pair.
    runs: Vec<usize>,
    /// Pairs of channels that count.
    run: usize,
}

impl<'a> Group<'a> {
    fn new(layer: &Layer, image: &Image, kernels: &'a [Kernel]) -> Self {
        let depth = layer.kernel_z as usize;
        let taps = (layer.kernel_x * layer.kernel_y) as usize;
        let mut used = vec![false; taps];
        let (mut low, mut high) = (usize::MAX, 0);
        for &(position, _) in kernels.iter().flat_map(|k| &k.weights) {
            let (tap, z) = (position as usize / depth, position as usize % depth);
            used[tap] = true;
            low = low.min(z / 2);
            high = high.max(z / 2 + 1);
        }
        let low = low.min(high);
        let run = high - low;
        let mut slot = vec![0; taps];
        let mut runs = Vec::new();
        for tap in (0..taps).filter(|&tap| used[tap]) {
            let (x, y) = (tap % layer.kernel_x as usize, tap / layer.kernel_x as usize);
            slot[tap] = runs.len();
            runs.push((y * image.width + x) * image.pairs + low);
        }
        let mut words = vec![0i32; runs.len() * run * LANES];
        let pairs: &mut [[i16; 2]] = bytemuck::cast_slice_mut(&mut words);
        for (lane, kernel) in kernels.iter().enumerate() {
            for &(position, weight) in &kernel.weights {
                let (tap, z) = (position as usize / depth, position as usize % depth);
                pairs[(slot[tap] * run + z / 2 - low) * LANES + lane][z % 2] = weight;
            }
        }
        Group {
            kernels,
            weights: words,
            runs,
            run,
        }
    }
}

/// Computes the output plane of each kernel.
pub(super) fn convolve(layer: &Layer, image: &Image, kernels: &[Kernel]) -> Check<Vec<Vec<u8>>> {
    let pixels = layer.output.width as usize * layer.output.height as usize;
    let groups = parallel::map(kernels.len().div_ceil(LANES), |group| {
        let kernels = &kernels[group * LANES..];
        Group::new(layer, image, &kernels[..kernels.len().min(LANES)])
    });
    let parts: Vec<(usize, usize)> = (0..groups.len())
        .flat_map(|group| (0..pixels).step_by(BAND).map(move |first| (group, first)))
        .collect();
    let lengths = |(group, first): (usize, usize)| {
        let len = pixels.min(first + BAND) - first;
        (groups[group].kernels.len(), len)
    };
    let mut computed = memory_for(kernels.len() * pixels)?;
    computed.resize(kernels.len() * pixels, 0);
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
    let planes = kernels.iter().map(|_| memory_for(pixels));
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
    group: &Group<'_>,
    pixels: std::ops::Range<usize>,
    out: &mut [u8],
) {
    let len = pixels.len();
    let width = layer.output.width as usize;
    let stride = layer.stride as usize;
    let scale = Scale::new(layer);
    let mut biases = [0; LANES];
    for (bias, kernel) in biases.iter_mut().zip(group.kernels) {
        *bias = kernel.bias;
    }
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
    tiles(&group.weights, windows, |index, tile| {
        let start = index * PIXELS;
        for (p, sums) in tile.iter().enumerate().take(len - start) {
            let values: [u8; LANES] =
                std::array::from_fn(|lane| scale.apply(sums[lane].wrapping_add(biases[lane])));
            for (lane, &value) in values.iter().enumerate().take(group.kernels.len()) {
                out[lane * len + start + p] = value;
            }
        }
    });
}

/// From accumulator to output byte.
struct Scale {
    least: i32,
    multiplier: i64,
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
            multiplier: layer.multiplier.into(),
            half: (1 << shift) >> 1,
            shift,
            zero_point: layer.out_zero_point.into(),
        }
    }

    /// Rounds to nearest, ties away from zero.
    #[inline(always)]
    fn apply(&self, sum: i32) -> u8 {
        let product = i64::from(sum.max(self.least)) * self.multiplier;
        let sign = product >> 63;
        let rounded = ((product ^ sign) - sign + self.half) >> self.shift;
        ((rounded ^ sign) - sign + self.zero_point).clamp(0, 255) as u8
    }
}
