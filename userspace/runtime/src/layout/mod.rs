//! Conversion between the host's row-major tensors (NHWC) and the device's feature layouts.
//!
//! Device bytes are `host + bias` (wrapping): uint8 tensors become centred int8 with a bias of 128.

mod cube;
mod error;

use ferrite_compiler::executable::{Layout, Port};

use crate::patches::{self, Rows};
pub(crate) use cube::Cube;
use cube::add;
pub use error::LayoutError;

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
            atom_bytes,
            line_pitch,
            surface_pitch,
        } => {
            let cube = Cube::of(port, atom_bytes, line_pitch, surface_pitch)?;
            let device = &mut device[..port.region.len];
            cube.enter(host, device, bias, port.pad_value);
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
            atom_bytes,
            line_pitch,
            surface_pitch,
        } => {
            let cube = Cube::of(port, atom_bytes, line_pitch, surface_pitch)?;
            cube.leave(device, host, bias);
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

/// Fills a map row by row.
fn enter_rows(port: &Port, rows: &Rows, device: &mut [u8]) -> Result<(), LayoutError> {
    let [height, width, channels] = port.shape;
    match port.layout {
        Layout::Cube {
            atom_bytes,
            line_pitch,
            surface_pitch,
        } => {
            let cube = Cube::of(port, atom_bytes, line_pitch, surface_pitch)?;
            cube.enter_rows(rows, device, port.bias, port.pad_value);
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
                    let layout = Layout::Cube { atom_bytes: 16, line_pitch: w as u32, surface_pitch: surface as u32 };
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
            let layout = Layout::Cube { atom_bytes: 16, line_pitch: line as u32, surface_pitch: surface as u32 };
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
            atom_bytes: 16,
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
            atom_bytes: 16,
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
            atom_bytes: 16,
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
