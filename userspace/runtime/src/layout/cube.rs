//! Feature cubes: atoms of some channels of one pixel, pixel after pixel, surface after surface.

use ferrite_compiler::executable::Port;
use ferrite_process::parallel;
use std::ops::Range;

use super::error::LayoutError;
use crate::patches::Rows;

/// Below this many device bytes a conversion is not worth spreading over threads.
const PARALLEL_BYTES: usize = 1 << 18;

/// A cube's geometry, in atoms and channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cube {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Bytes of an element.
    pub element: usize,
    /// Bytes of an atom: 8 or 16.
    pub atom: usize,
    /// Atoms from line to line.
    pub line: usize,
    /// Atoms from surface to surface.
    pub surface: usize,
}

impl Cube {
    /// Checks a port against the sizes of its region and of its host tensor (in elements of
    /// `host_element` bytes).
    pub fn of(port: &Port, atom: u32, line: u32, surface: u32) -> Result<Cube, LayoutError> {
        if ![8, 16].contains(&atom) {
            return Err(LayoutError::Atom(atom));
        }
        let bytes = atom as usize;
        let [height, width, channels] = port.shape;
        let element = port.dtype.size();
        if element > bytes / 4 {
            return Err(LayoutError::Element {
                size: element,
                layout: "cube",
            });
        }
        let (line, surface) = (line as usize, surface as usize);
        let real = (channels * element).div_ceil(bytes);
        let plane = height.saturating_sub(1) * line + width;
        let span = |surfaces: usize| bytes * (surfaces.saturating_sub(1) * surface + plane);
        if span(real) > port.region.len {
            return Err(LayoutError::Region {
                needed: span(real),
                available: port.region.len,
            });
        }
        Ok(Cube {
            height,
            width,
            channels,
            element,
            atom: bytes,
            line,
            surface,
        })
    }

    /// Fills it, and what else there is of `device`.
    pub fn enter(&self, host: &[u8], device: &mut [u8], bias: u8, pad: u8) {
        match self.atom {
            8 => enter_cube::<8>(self, host, device, bias, pad),
            _ => enter_cube::<16>(self, host, device, bias, pad),
        }
    }

    /// Fills it row by row, and what else there is of `device`.
    pub fn enter_rows(&self, rows: &Rows, device: &mut [u8], bias: u8, pad: u8) {
        match self.atom {
            8 => enter_rows::<8>(self, rows, device, bias, pad),
            _ => enter_rows::<16>(self, rows, device, bias, pad),
        }
    }

    /// Reads it back.
    pub fn leave(&self, device: &[u8], host: &mut [u8], bias: u8) {
        match self.atom {
            8 => leave_cube::<8>(self, device, host, bias),
            _ => leave_cube::<16>(self, device, host, bias),
        }
    }

    /// Line `y` of surface `s`.
    pub fn line<'a>(&self, device: &'a [u8], s: usize, y: usize) -> &'a [u8] {
        &device[self.atom * (s * self.surface + y * self.line)..][..self.atom * self.width]
    }

    /// Some neighbouring columns of it.
    fn part(&self, width: usize) -> Cube {
        Cube { width, ..*self }
    }

    /// Whether lines and surfaces lie one after the other without overlap.
    fn is_nested(&self) -> bool {
        self.line > 0 && self.line >= self.width && self.surface >= self.height * self.line
    }
}

/// Fills a cube row by row.
fn enter_rows<const ATOM: usize>(cube: &Cube, rows: &Rows, device: &mut [u8], bias: u8, pad: u8) {
    let Cube {
        height,
        width,
        channels,
        ..
    } = *cube;
    let surfaces = channels.div_ceil(ATOM);
    let gaps = (cube.line, cube.surface) != (width, height * width);
    if gaps || device.len() > ATOM * cube.surface * surfaces {
        device.fill(pad);
    }
    let mut row = rows.buffer(width);
    for y in 0..height {
        // What lies in the tensor as it is needs no detour.
        let whole = rows.whole(y, surfaces * ATOM);
        let Range { start, end } = whole.columns;
        for columns in [0..start, end..width] {
            let row = &mut row[..columns.len() * channels];
            rows.write(y, columns.clone(), row);
            for s in 0..surfaces {
                let line = line::<ATOM>(cube, device, s, y);
                enter_line::<ATOM>(
                    &cube.part(columns.len()),
                    row,
                    &mut line[ATOM * columns.start..][..ATOM * columns.len()],
                    [s, 0],
                    bias,
                    pad,
                );
            }
        }
        for s in 0..surfaces {
            let line = line::<ATOM>(cube, device, s, y);
            let (atoms, _) = line[ATOM * start..ATOM * end].as_chunks_mut::<ATOM>();
            let real = (channels - s * ATOM).min(ATOM);
            if let Some(bytes) = whole.bytes.get(s * ATOM..) {
                enter_atoms(bytes, whole.step, real, atoms, [bias, pad]);
            }
        }
    }
}

/// Line `y` of surface `s`.
fn line<'a, const ATOM: usize>(
    cube: &Cube,
    device: &'a mut [u8],
    s: usize,
    y: usize,
) -> &'a mut [u8] {
    let first = ATOM * (s * cube.surface + y * cube.line);
    &mut device[first..first + ATOM * cube.width]
}

/// Fills atoms with `real` channels each from pixels that lie `step` bytes apart, with an atom's bytes
/// in each.
fn enter_atoms<const ATOM: usize>(
    pixels: &[u8],
    step: usize,
    real: usize,
    atoms: &mut [[u8; ATOM]],
    [bias, pad]: [u8; 2],
) {
    let (mut kept, mut pad) = ([0; ATOM], [pad; ATOM]);
    kept[..real].fill(0xff);
    pad[..real].fill(0);
    for (x, atom) in atoms.iter_mut().enumerate() {
        // There is one of each pixel. Its length known, a few vector instructions do it.
        if let Some(pixel) = pixels[x * step..].first_chunk::<ATOM>() {
            let mut values = [0; ATOM];
            for at in 0..ATOM {
                values[at] = pixel[at].wrapping_add(bias) & kept[at] | pad[at];
            }
            *atom = values;
        }
    }
}

fn enter_cube<const ATOM: usize>(cube: &Cube, host: &[u8], device: &mut [u8], bias: u8, pad: u8) {
    let pixel = cube.channels * cube.element;
    let enter = |s: usize, y: usize, line: &mut [u8]| {
        if y < cube.height {
            enter_line::<ATOM>(cube, host, line, [s, y], bias, pad);
        } else {
            line.fill(pad);
        }
    };
    if cube.is_nested() {
        let (line, surface) = (ATOM * cube.line, ATOM * cube.surface);
        let parallel = device.len() >= PARALLEL_BYTES;
        let enter = |s: usize, bytes: &mut [u8]| {
            if s * ATOM >= pixel {
                bytes.fill(pad);
            } else if parallel {
                parallel::chunks_mut(bytes, line, |y, line| enter(s, y, line));
            } else {
                let lines = bytes.chunks_mut(line).enumerate();
                lines.for_each(|(y, line)| enter(s, y, line));
            }
        };
        if parallel {
            parallel::chunks_mut(device, surface, enter);
        } else {
            for (s, bytes) in device.chunks_mut(surface).enumerate() {
                enter(s, bytes);
            }
        }
        return;
    }
    device.fill(pad);
    for s in 0..pixel.div_ceil(ATOM) {
        for y in 0..cube.height {
            let first = ATOM * (s * cube.surface + y * cube.line);
            enter(s, y, &mut device[first..first + ATOM * cube.width]);
        }
    }
}

/// Fills line `y` of surface `s`, and what follows it up to the next line.
fn enter_line<const ATOM: usize>(
    cube: &Cube,
    host: &[u8],
    line: &mut [u8],
    [s, y]: [usize; 2],
    bias: u8,
    pad: u8,
) {
    let pixel = cube.channels * cube.element;
    let first = s * ATOM;
    let (line, gap) = line.split_at_mut(ATOM * cube.width);
    gap.fill(pad);
    let row = &host[y * cube.width * pixel..][..cube.width * pixel];
    let (atoms, _) = line.as_chunks_mut::<ATOM>();
    let pixels = row.chunks_exact(pixel);
    if pixel - first >= ATOM {
        for (atom, pixel) in atoms.iter_mut().zip(pixels) {
            // A whole atom: one vector load, add and store.
            let mut values = [0; ATOM];
            values.copy_from_slice(&pixel[first..first + ATOM]);
            *atom = values.map(|v| v.wrapping_add(bias));
        }
    } else {
        let pixels = pixels.map(|pixel| &pixel[first..]);
        match pixel - first {
            1 => fill_atoms::<1, ATOM>(atoms, pixels, bias, pad),
            2 => fill_atoms::<2, ATOM>(atoms, pixels, bias, pad),
            3 => fill_atoms::<3, ATOM>(atoms, pixels, bias, pad),
            4 => fill_atoms::<4, ATOM>(atoms, pixels, bias, pad),
            8 => fill_atoms::<8, ATOM>(atoms, pixels, bias, pad),
            _ => {
                for (atom, channels) in atoms.iter_mut().zip(pixels) {
                    let mut values = [pad; ATOM];
                    add(bias, channels, &mut values);
                    *atom = values;
                }
            }
        }
    }
}

/// Atoms with `N` channels each: a number known here needs no loop. Images have three.
fn fill_atoms<'a, const N: usize, const ATOM: usize>(
    atoms: &mut [[u8; ATOM]],
    pixels: impl Iterator<Item = &'a [u8]>,
    bias: u8,
    pad: u8,
) {
    for (atom, channels) in atoms.iter_mut().zip(pixels) {
        let Some(channels) = channels.as_array::<N>() else {
            continue;
        };
        let mut values = [pad; ATOM];
        for (value, channel) in values.iter_mut().zip(channels) {
            *value = channel.wrapping_add(bias);
        }
        *atom = values;
    }
}

fn leave_cube<const ATOM: usize>(cube: &Cube, device: &[u8], host: &mut [u8], bias: u8) {
    let pixel = cube.channels * cube.element;
    if pixel == 0 || cube.width == 0 {
        return;
    }
    let leave = |y: usize, row: &mut [u8]| {
        for s in 0..pixel.div_ceil(ATOM) {
            let first = s * ATOM;
            let line = cube.line(device, s, y);
            let (atoms, _) = line.as_chunks::<ATOM>();
            let pixels = row.chunks_exact_mut(pixel);
            if pixel - first >= ATOM {
                for (atom, pixel) in atoms.iter().zip(pixels) {
                    let values = atom.map(|v| v.wrapping_add(bias));
                    pixel[first..first + ATOM].copy_from_slice(&values);
                }
            } else {
                for (atom, pixel) in atoms.iter().zip(pixels) {
                    add(bias, atom, &mut pixel[first..]);
                }
            }
        }
    };
    let row = cube.width * pixel;
    if host.len() >= PARALLEL_BYTES {
        let whole = host.len() / row * row;
        parallel::chunks_mut(&mut host[..whole], row, leave);
    } else {
        for (y, row) in host.chunks_exact_mut(row).enumerate() {
            leave(y, row);
        }
    }
}

/// Adds to bytes.
pub(super) fn add(bias: u8, from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.wrapping_add(bias);
    }
}
