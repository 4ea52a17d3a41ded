//! Conversion between the host's row-major tensors (NHWC) and the device's feature layouts.
//!
//! Device bytes are `host + bias` (wrapping): uint8 tensors become centred int8 with a bias of 128.

use ferrite_compiler::executable::{Layout, Port};
use ferrite_process::parallel;
use std::ops::Range;

use crate::patches::{self, Rows};

/// Bytes of an atom: one pixel of one channel group.
const ATOM: usize = 16;

/// Below this many device bytes a conversion is not worth spreading over threads.
const PARALLEL_BYTES: usize = 1 << 18;

/// A port that does not fit its region or tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The layout reaches beyond the region.
    #[error("layout needs {needed} bytes of the device region, which has {available}")]
    Region {
        /// Bytes that the layout spans.
        needed: usize,
        /// Bytes of the region.
        available: usize,
    },
    /// The host tensor has another size.
    #[error("feature map of {needed} bytes, but the host tensor has {available}")]
    Host {
        /// Bytes of the feature map.
        needed: usize,
        /// Bytes of the tensor.
        available: usize,
    },
    /// An element type that the layout cannot hold.
    #[error("{size}-byte elements have no {layout} form")]
    Element {
        /// Bytes of an element.
        size: usize,
        /// Name of the layout.
        layout: &'static str,
    },
    /// Windows that do not make the map.
    #[error("windows of a host tensor that do not make a map of {rows} x {columns} x {channels}")]
    Patches {
        /// Rows of the map.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// Its channels.
        channels: usize,
    },
}

/// A cube's geometry, in atoms and channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cube {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Bytes of an element.
    pub element: usize,
    /// Atoms from line to line.
    pub line: usize,
    /// Atoms from surface to surface.
    pub surface: usize,
}

impl Cube {
    /// Checks a port against the sizes of its region and of its host tensor (in elements of
    /// `host_element` bytes).
    pub fn of(port: &Port, line: u32, surface: u32) -> Result<Cube, LayoutError> {
        let [height, width, channels] = port.shape;
        let element = port.dtype.size();
        if element > ATOM / 4 {
            return Err(LayoutError::Element {
                size: element,
                layout: "cube",
            });
        }
        let (line, surface) = (line as usize, surface as usize);
        let real = (channels * element).div_ceil(ATOM);
        let plane = height.saturating_sub(1) * line + width;
        let span = |surfaces: usize| ATOM * (surfaces.saturating_sub(1) * surface + plane);
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
            line,
            surface,
        })
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

/// Writes host tensor `host` into `device`, the bytes of `port.region`. Bytes of a cube's region that
/// hold no element become `port.pad_value`.
pub fn enter(port: &Port, host: &[u8], device: &mut [u8]) -> Result<(), LayoutError> {
    check_host(port, host.len())?;
    check_region(port, device.len())?;
    let bias = port.bias;
    if let Some(windows) = &port.patches {
        let rows = Rows::of(port, windows, host).ok_or_else(|| no_map(port))?;
        return enter_rows(port, &rows, &mut device[..port.region.len]);
    }
    match port.layout {
        Layout::Cube {
            line_pitch,
            surface_pitch,
        } => {
            let cube = Cube::of(port, line_pitch, surface_pitch)?;
            enter_cube(
                &cube,
                host,
                &mut device[..port.region.len],
                bias,
                port.pad_value,
            );
        }
        Layout::Linear => {
            check_linear(port, host.len())?;
            add(bias, host, &mut device[..host.len()]);
        }
        Layout::Planar => {
            let (plane, channels) = check_planar(port)?;
            for (c, out) in device.chunks_exact_mut(plane).take(channels).enumerate() {
                for (value, pixel) in out.iter_mut().zip(host.chunks_exact(channels)) {
                    *value = pixel[c].wrapping_add(bias);
                }
            }
        }
    }
    Ok(())
}

/// Reads `device`, the bytes of `port.region`, back into host tensor `host`.
pub fn leave(port: &Port, device: &[u8], host: &mut [u8]) -> Result<(), LayoutError> {
    if port.patches.is_some() {
        return Err(no_map(port));
    }
    check_host(port, host.len())?;
    check_region(port, device.len())?;
    let bias = port.bias.wrapping_neg();
    match port.layout {
        Layout::Cube {
            line_pitch,
            surface_pitch,
        } => {
            let cube = Cube::of(port, line_pitch, surface_pitch)?;
            leave_cube(&cube, device, host, bias);
        }
        Layout::Linear => {
            check_linear(port, host.len())?;
            let len = host.len();
            add(bias, &device[..len], host);
        }
        Layout::Planar => {
            let (plane, channels) = check_planar(port)?;
            for (c, values) in device.chunks_exact(plane).take(channels).enumerate() {
                for (value, pixel) in values.iter().zip(host.chunks_exact_mut(channels)) {
                    pixel[c] = value.wrapping_add(bias);
                }
            }
        }
    }
    Ok(())
}

/// Windows that do not make the port's map, or a map that was to become a tensor again.
fn no_map(port: &Port) -> LayoutError {
    let [rows, columns, channels] = port.shape;
    LayoutError::Patches {
        rows,
        columns,
        channels,
    }
}

fn check_host(port: &Port, available: usize) -> Result<(), LayoutError> {
    let elements = match &port.patches {
        None => port.shape.iter().product(),
        Some(patches) => patches::elements(patches),
    };
    let needed = elements.saturating_mul(port.dtype.size());
    if needed == available {
        Ok(())
    } else {
        Err(LayoutError::Host { needed, available })
    }
}

fn check_region(port: &Port, available: usize) -> Result<(), LayoutError> {
    if available < port.region.len {
        return Err(LayoutError::Region {
            needed: port.region.len,
            available,
        });
    }
    Ok(())
}

fn check_linear(port: &Port, needed: usize) -> Result<(), LayoutError> {
    if needed > port.region.len {
        return Err(LayoutError::Region {
            needed,
            available: port.region.len,
        });
    }
    Ok(())
}

/// Elements of a plane, and the number of planes.
fn check_planar(port: &Port) -> Result<(usize, usize), LayoutError> {
    let [height, width, channels] = port.shape;
    if port.dtype.size() != 1 {
        return Err(LayoutError::Element {
            size: port.dtype.size(),
            layout: "planar",
        });
    }
    check_linear(port, height * width * channels)?;
    Ok(((height * width).max(1), channels))
}

fn add(bias: u8, from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.wrapping_add(bias);
    }
}

/// Fills a map row by row.
fn enter_rows(port: &Port, rows: &Rows, device: &mut [u8]) -> Result<(), LayoutError> {
    let [height, width, channels] = port.shape;
    match port.layout {
        Layout::Cube {
            line_pitch,
            surface_pitch,
        } => {
            let cube = Cube::of(port, line_pitch, surface_pitch)?;
            let surfaces = channels.div_ceil(ATOM);
            let gaps = (cube.line, cube.surface) != (width, height * width);
            if gaps || device.len() > ATOM * cube.surface * surfaces {
                device.fill(port.pad_value);
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
                        let line = line(&cube, device, s, y);
                        enter_line(
                            &cube.part(columns.len()),
                            row,
                            &mut line[ATOM * columns.start..][..ATOM * columns.len()],
                            [s, 0],
                            port.bias,
                            port.pad_value,
                        );
                    }
                }
                for s in 0..surfaces {
                    let line = line(&cube, device, s, y);
                    let (atoms, _) = line[ATOM * start..ATOM * end].as_chunks_mut();
                    let real = (channels - s * ATOM).min(ATOM);
                    if let Some(bytes) = whole.bytes.get(s * ATOM..) {
                        enter_atoms(bytes, whole.step, real, atoms, port);
                    }
                }
            }
        }
        Layout::Planar => {
            let (plane, _) = check_planar(port)?;
            let mut row = rows.buffer(width);
            for y in 0..height {
                rows.write(y, 0..width, &mut row);
                for (x, pixel) in row.chunks_exact(channels).enumerate() {
                    let planes = device[y * width + x..].iter_mut().step_by(plane);
                    for (value, channel) in planes.zip(pixel) {
                        *value = channel.wrapping_add(port.bias);
                    }
                }
            }
        }
        Layout::Linear => {
            check_linear(port, height * width * channels)?;
            let mut row = rows.buffer(width);
            let lines = device.chunks_exact_mut(row.len().max(1));
            for (y, to) in lines.take(height).enumerate() {
                rows.write(y, 0..width, &mut row);
                add(port.bias, &row, to);
            }
        }
    }
    Ok(())
}

/// Line `y` of surface `s`.
fn line<'a>(cube: &Cube, device: &'a mut [u8], s: usize, y: usize) -> &'a mut [u8] {
    let first = ATOM * (s * cube.surface + y * cube.line);
    &mut device[first..first + ATOM * cube.width]
}

/// Fills atoms with `real` channels each from pixels that lie `step` bytes apart, with an atom's bytes
/// in each.
fn enter_atoms(pixels: &[u8], step: usize, real: usize, atoms: &mut [[u8; ATOM]], port: &Port) {
    let (mut kept, mut pad) = ([0; ATOM], [port.pad_value; ATOM]);
    kept[..real].fill(0xff);
    pad[..real].fill(0);
    let bias = port.bias;
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

fn enter_cube(cube: &Cube, host: &[u8], device: &mut [u8], bias: u8, pad: u8) {
    let pixel = cube.channels * cube.element;
    let enter = |s: usize, y: usize, line: &mut [u8]| {
        if y < cube.height {
            enter_line(cube, host, line, [s, y], bias, pad);
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
fn enter_line(cube: &Cube, host: &[u8], line: &mut [u8], [s, y]: [usize; 2], bias: u8, pad: u8) {
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
            1 => fill_atoms::<1>(atoms, pixels, bias, pad),
            2 => fill_atoms::<2>(atoms, pixels, bias, pad),
            3 => fill_atoms::<3>(atoms, pixels, bias, pad),
            4 => fill_atoms::<4>(atoms, pixels, bias, pad),
            8 => fill_atoms::<8>(atoms, pixels, bias, pad),
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
fn fill_atoms<'a, const N: usize>(
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

fn leave_cube(cube: &Cube, device: &[u8], host: &mut [u8], bias: u8) {
    let pixel = cube.channels * cube.element;
    if pixel == 0 || cube.width == 0 {
        return;
    }
    let leave = |y: usize, row: &mut [u8]| {
        for s in 0..pixel.div_ceil(ATOM) {
            let first = s * ATOM;
            let line = &device[ATOM * (s * cube.surface + y * cube.line)..][..ATOM * cube.width];
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

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_compiler::executable::{BufferId, Patches, Region};
    use ferrite_ir::{DType, TensorId};
    use proptest::prelude::*;

    fn port(shape: [usize; 3], layout: Layout, len: usize, bias: u8, dtype: DType) -> Port {
        Port {
            tensor: TensorId::from_u32(0),
            region: Region {
                buffer: BufferId::from_u32(0),
                offset: 0,
                len,
            },
            layout,
            shape,
            patches: None,
            dtype,
            bias,
            pad_value: 0x55,
        }
    }

    /// The windows of a host tensor one after the other, tap by tap.
    fn windows(patches: &Patches, [rows, columns]: [usize; 2], border: u8, host: &[u8]) -> Vec<u8> {
        let [h, w, c] = patches.image;
        let mut all = Vec::new();
        for n in 0..patches.images * rows * columns * patches.kernel[0] * patches.kernel[1] * c {
            let (rest, channel) = (n / c, n % c);
            let (rest, kx) = (rest / patches.kernel[1], rest % patches.kernel[1]);
            let (rest, ky) = (rest / patches.kernel[0], rest % patches.kernel[0]);
            let (rest, x) = (rest / columns, rest % columns);
            let (image, y) = (rest / rows, rest % rows);
            let at = |output: usize, tap: usize, axis: usize| {
                (output * patches.stride[axis] + tap * patches.dilation[axis]) as isize
                    - patches.pad[axis] as isize
            };
            let (y, x) = (at(y, ky, 0), at(x, kx, 1));
            let inside = (0..h as isize).contains(&y) && (0..w as isize).contains(&x);
            all.push(match inside {
                true => host[((image * h + y as usize) * w + x as usize) * c + channel],
                false => border,
            });
        }
        all
    }

    fn patches() -> impl Strategy<Value = Patches> {
        let pair = |sizes: std::ops::Range<usize>| [sizes.clone(), sizes];
        let image = [1usize..7, 1..7, 1..5];
        (
            1usize..3,
            image,
            pair(1..4),
            pair(1..4),
            pair(1..3),
            pair(0..3),
        )
            .prop_map(|(images, image, kernel, stride, dilation, pad)| Patches {
                images,
                image,
                kernel,
                stride,
                dilation,
                pad,
            })
    }

    /// The address formula of the documentation, element by element.
    fn address(line: usize, surface: usize, size: usize, at: [usize; 3]) -> usize {
        let [y, x, c] = at;
        let group = 16 / size;
        16 * (c / group * surface + y * line + x) + c % group * size
    }

    proptest! {
        #[test]
        fn windows_enter_as_pixels(
            patches in patches(), rows in 1usize..5, columns in 1usize..5, form in 0..3, seed: u64,
        ) {
            let [kh, kw] = patches.kernel;
            let shape = [patches.images * rows, columns, kh * kw * patches.image[2]];
            let [h, w, c] = shape;
            let (layout, len) = match form {
                0 => {
                    let surface = h * w + 1;
                    let layout = Layout::Cube { line_pitch: w as u32, surface_pitch: surface as u32 };
                    (layout, 16 * surface * c.div_ceil(16))
                }
                1 => (Layout::Planar, h * w * c),
                _ => (Layout::Linear, h * w * c),
            };
            let plain = port(shape, layout, len, 0x80, DType::I8);
            let host: Vec<u8> = (0..crate::patches::elements(&patches))
                .map(|i| (seed.wrapping_mul(i as u64 * 2 + 1) >> 32) as u8)
                .collect();
            let border = plain.pad_value.wrapping_sub(plain.bias);
            let pixels = windows(&patches, [rows, columns], border, &host);
            let mut expected = vec![0xee; len];
            enter(&plain, &pixels, &mut expected).unwrap();
            let port = Port { patches: Some(patches), ..plain };
            let mut device = vec![0xee; len];
            enter(&port, &host, &mut device).unwrap();
            prop_assert_eq!(device, expected);
        }

        #[test]
        fn cube_matches_the_address_formula(
            h in 1usize..6, w in 1usize..6, c in 1usize..70,
            extra_line in 0usize..3, extra_surface in 0usize..5, extra in 0usize..3,
            bias: u8, wide: bool, seed: u64,
        ) {
            let (size, dtype) = if wide { (4, DType::I32) } else { (1, DType::I8) };
            let bias = if wide { 0 } else { bias };
            let line = w + extra_line;
            let surface = h * line + extra_surface;
            let surfaces = (c * size).div_ceil(16) + extra;
            let layout = Layout::Cube { line_pitch: line as u32, surface_pitch: surface as u32 };
            let port = port([h, w, c], layout, 16 * surface * surfaces, bias, dtype);
            let host: Vec<u8> = (0..h * w * c * size)
                .map(|i| (seed.wrapping_mul(i as u64 * 2 + 1) >> 32) as u8)
                .collect();
            let mut device = vec![0xee; port.region.len];
            enter(&port, &host, &mut device).unwrap();
            let mut expected = vec![0x55; port.region.len];
            for y in 0..h { for x in 0..w { for channel in 0..c {
                let at = address(line, surface, size, [y, x, channel]);
                for byte in 0..size {
                    let value = host[((y * w + x) * c + channel) * size + byte];
                    expected[at + byte] = value.wrapping_add(bias);
                }
            } } }
            prop_assert_eq!(&device, &expected);
            let mut back = vec![0; host.len()];
            leave(&port, &device, &mut back).unwrap();
            prop_assert_eq!(back, host);
        }

        #[test]
        fn planar_and_linear_round_trip(h in 1usize..6, w in 1usize..6, c in 1usize..9, bias: u8) {
            let host: Vec<u8> = (0..h * w * c).map(|i| i as u8).collect();
            for layout in [Layout::Planar, Layout::Linear] {
                let port = port([h, w, c], layout, host.len(), bias, DType::I8);
                let mut device = vec![0; host.len()];
                enter(&port, &host, &mut device).unwrap();
                let at = match layout { Layout::Planar => (c - 1) * h * w, _ => c - 1 };
                prop_assert_eq!(device[at], host[c - 1].wrapping_add(bias));
                let mut back = vec![0; host.len()];
                leave(&port, &device, &mut back).unwrap();
                prop_assert_eq!(back, host.clone());
            }
        }
    }

    #[test]
    fn large_cubes_go_the_parallel_way_and_agree() {
        let (h, w, c) = (65, 130, 70);
        let layout = Layout::Cube {
            line_pitch: 131,
            surface_pitch: 131 * 66,
        };
        let port = port([h, w, c], layout, 16 * 131 * 66 * 5, 128, DType::I8);
        let host: Vec<u8> = (0..h * w * c).map(|i| (i * 7 % 251) as u8).collect();
        let mut device = vec![0; port.region.len];
        enter(&port, &host, &mut device).unwrap();
        let at = address(131, 131 * 66, 1, [64, 129, 69]);
        assert_eq!(
            device[at],
            host[(64 * 130 + 129) * 70 + 69].wrapping_add(128)
        );
        let mut back = vec![0; host.len()];
        leave(&port, &device, &mut back).unwrap();
        assert_eq!(back, host);
    }

    #[test]
    fn row_major_matrices_are_cubes_with_interleaved_surfaces() {
        // K = 32 contiguous values in each of 3 rows: surfaces one atom apart, lines two.
        let layout = Layout::Cube {
            line_pitch: 2,
            surface_pitch: 1,
        };
        let port = port([3, 1, 32], layout, 96, 0, DType::I8);
        let host: Vec<u8> = (0..96).collect();
        let mut device = vec![0; 96];
        enter(&port, &host, &mut device).unwrap();
        assert_eq!(device, host);
    }

    #[test]
    fn misfits_are_errors() {
        let layout = Layout::Cube {
            line_pitch: 4,
            surface_pitch: 16,
        };
        let small = port([4, 4, 17], layout, 16 * 16, 0, DType::I8);
        let host = vec![0; 4 * 4 * 17];
        assert_eq!(
            enter(&small, &host, &mut [0; 256]),
            Err(LayoutError::Region {
                needed: 512,
                available: 256
            })
        );
        assert_eq!(
            enter(&small, &host[1..], &mut [0; 256]),
            Err(LayoutError::Host {
                needed: 272,
                available: 271
            })
        );
    }
}
