//! Requantisation of raw int32 accumulators on the host, as TFLite's reference kernels do it.

use crate::cpu::Multiplier;
use crate::layout::{Cube, LayoutError};
use ferrite_compiler::executable::{HostRequant, Layout, Port};
use ferrite_ir::DType;
use ferrite_process::parallel;

/// Why a requantisation cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequantError {
    /// The accumulators do not fit their layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The accumulators are not an int32 cube.
    #[error("accumulators must be an int32 cube, not {dtype:?} in {layout:?}")]
    Form {
        /// Element type found.
        dtype: DType,
        /// Layout found.
        layout: Layout,
    },
    /// A per-channel vector has another length than the cube has channels.
    #[error("{what} for {found} channels, but the accumulators have {channels}")]
    Channels {
        /// Which vector.
        what: &'static str,
        /// Its length.
        found: usize,
        /// Channels of the cube.
        channels: usize,
    },
    /// A shift that no 32-bit value survives.
    #[error("shift {0} is outside -31..=31")]
    Shift(i32),
}

/// Turns the accumulators in `device` (the bytes of `port.region`) into the 8-bit tensor `host`.
/// `port.bias` has no part in it: `requant` is in the host's own units.
pub fn requantise(
    port: &Port,
    requant: &HostRequant,
    device: &[u8],
    host: &mut [u8],
) -> Result<(), RequantError> {
    let (
        Layout::Cube {
            atom_bytes,
            line_pitch,
            surface_pitch,
        },
        DType::I32,
    ) = (port.layout, port.dtype)
    else {
        return Err(RequantError::Form {
            dtype: port.dtype,
            layout: port.layout,
        });
    };
    let cube = Cube::of(port, atom_bytes, line_pitch, surface_pitch)?;
    check(&cube, requant, device.len(), host.len(), port)?;
    let row = cube.width * cube.channels;
    if row == 0 {
        return Ok(());
    }
    let whole = host.len() / row * row;
    parallel::chunks_mut(&mut host[..whole], row, |y, row| {
        requantise_row(&cube, requant, device, y, row);
    });
    Ok(())
}

fn check(
    cube: &Cube,
    requant: &HostRequant,
    device: usize,
    host: usize,
    port: &Port,
) -> Result<(), RequantError> {
    let vectors = [
        ("biases", requant.bias.len()),
        ("multipliers", requant.multiplier.len()),
        ("shifts", requant.shift.len()),
    ];
    for (what, found) in vectors {
        if found != cube.channels {
            return Err(RequantError::Channels {
                what,
                found,
                channels: cube.channels,
            });
        }
    }
    if let Some(&shift) = requant.shift.iter().find(|s| !(-31..=31).contains(*s)) {
        return Err(RequantError::Shift(shift));
    }
    if device < port.region.len {
        return Err(LayoutError::Region {
            needed: port.region.len,
            available: device,
        }
        .into());
    }
    let needed = cube.height * cube.width * cube.channels;
    if needed != host {
        return Err(LayoutError::Host {
            needed,
            available: host,
        }
        .into());
    }
    Ok(())
}

fn requantise_row(cube: &Cube, requant: &HostRequant, device: &[u8], y: usize, row: &mut [u8]) {
    let group = cube.atom / 4;
    for first in (0..cube.channels).step_by(group) {
        let real = (cube.channels - first).min(group);
        let line = cube.line(device, first / group, y);
        let pixels = row.chunks_exact_mut(cube.channels);
        for (atom, pixel) in line.chunks_exact(cube.atom).zip(pixels) {
            for (i, out) in pixel[first..first + real].iter_mut().enumerate() {
                let c = first + i;
                let word = [
                    atom[4 * i],
                    atom[4 * i + 1],
                    atom[4 * i + 2],
                    atom[4 * i + 3],
                ];
                let sum = i32::from_le_bytes(word).wrapping_add(requant.bias[c]);
                let multiplier = Multiplier {
                    mantissa: requant.multiplier[c],
                    shift: requant.shift[c],
                };
                let value = multiplier.apply(sum).saturating_add(requant.zero_point);
                *out = value.max(requant.min).min(requant.max) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_compiler::executable::{BufferId, Region};
    use ferrite_ir::TensorId;

    #[test]
    fn a_cube_is_requantised_by_channel() {
        let port = Port {
            tensor: TensorId::from_u32(0),
            region: Region {
                buffer: BufferId::from_u32(0),
                offset: 0,
                len: 2 * 2 * 16,
            },
            layout: Layout::Cube {
                atom_bytes: 16,
                line_pitch: 2,
                surface_pitch: 2,
            },
            shape: [1, 2, 5],
            dtype: DType::I32,
            bias: 128,
            pad_value: 0,
            patches: None,
        };
        let mut device = Vec::new();
        for value in [
            100,
            101,
            102,
            103,
            200,
            201,
            202,
            203,
            -9,
            0,
            0,
            0,
            1 << 20,
            0,
            0,
            0i32,
        ] {
            device.extend(value.to_le_bytes());
        }
        let half = 1 << 30;
        let mut requant = HostRequant {
            bias: vec![0, 1, 0, 0, 0],
            multiplier: vec![half; 5],
            shift: vec![0, 0, 1, -1, 0],
            zero_point: -3,
            min: -128,
            max: 127,
        };
        let mut host = [0; 10];
        requantise(&port, &requant, &device, &mut host).unwrap();
        let expected = [47, 48, 99, 23, -7, 97, 98, 127, 48, 127i8];
        assert_eq!(host.map(|v| v as i8), expected);
        requant.shift.pop();
        assert!(matches!(
            requantise(&port, &requant, &device, &mut host),
            Err(RequantError::Channels {
                what: "shifts",
                found: 4,
                channels: 5
            })
        ));
    }
}
