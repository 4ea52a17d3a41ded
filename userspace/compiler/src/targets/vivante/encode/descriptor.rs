//! Writes a layer as an NN descriptor.

use ferrite_hw::vivante::nn::{self, Pooling};
use ferrite_hw::vivante::{Field, FieldOverflow, Words};

use super::coefficients::{Stream, cores_used};
use super::plan_tile::{Plan, Shape};
use crate::targets::vivante::chip::{ALIGN, SRAM, SRAM_STREAMING};
use crate::targets::vivante::program::Layer;

/// Tiles and superblocks of a layer.
pub fn plan(layer: &Layer) -> Plan {
    let scale = if layer.pooled { 2 } else { 1 };
    Shape {
        width: scale * layer.output.x,
        height: scale * layer.output.y,
        outputs: layer.kernel.outputs,
        kernel: layer.kernel.size,
        pooled: layer.pooled,
    }
    .plan()
}

/// What stays in on-chip SRAM while the layer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caches {
    kernel_mode: usize,
    /// Fields KERNEL_PATTERN_MSB, _LOW and _HIGH.
    pattern: [usize; 3],
    kernel: [usize; 2],
    image_mode: usize,
    image: [usize; 2],
}

/// Patterns of partial coefficient caching by least number of output channels. Their meaning is
/// unknown; they are those that Mesa programs on this chip.
const PATTERNS: [(usize, [usize; 3]); 5] = [
    (1024, [0x13, 0x0008_0000, 0]),
    (512, [0x3d, 0, 0x2aaa_aaa0]),
    (256, [0x3e, 0xffff_aaaa, 0x7fff_ffff]),
    (160, [0x06, 0x0000_007e, 0]),
    (0, [0x3f, 0xffff_fffe, 0xffff_ffff]),
];

impl Caches {
    /// All coefficients if they fit, and the image if there are several passes over it.
    fn of(layer: &Layer, plan: &Plan, stream: &Stream) -> Caches {
        let kernel = &layer.kernel;
        let coefficients = stream.largest_block * cores_used(kernel.outputs);
        let mut image = 0;
        if plan.superblocks > 1 {
            let rim = kernel.size - 1;
            let tile = ((plan.tile_x + rim) * (plan.tile_y + rim)).next_multiple_of(16);
            image = (tile * kernel.inputs).next_multiple_of(128);
        }
        let end = SRAM_STREAMING + coefficients;
        let mut caches = Caches {
            kernel_mode: 1,
            pattern: [0; 3],
            kernel: [SRAM_STREAMING, end.next_multiple_of(128).clamp(0xa00, SRAM)],
            image_mode: 0,
            image: [0, SRAM_STREAMING],
        };
        if end + image >= SRAM {
            let fits = |(least, _): &&(usize, [usize; 3])| kernel.outputs >= *least;
            caches.kernel_mode = 2;
            caches.pattern = PATTERNS.iter().find(fits).map_or([0; 3], |p| p.1);
            if end >= SRAM || image > SRAM - SRAM_STREAMING {
                caches.kernel[1] = SRAM;
                image = 0;
            } else {
                caches.kernel[1] = SRAM - image;
            }
        }
        if image > 0 {
            caches.image_mode = 1;
            if image >= SRAM_STREAMING {
                caches.image = [caches.kernel[1], (caches.kernel[1] + image).min(SRAM)];
            }
        }
        caches
    }
}

/// The descriptor of a layer, its three addresses left 0.
pub fn descriptor(layer: &Layer, plan: &Plan, stream: &Stream) -> Result<Words, FieldOverflow> {
    let mut words = nn::defaults();
    let mut set = |field: Field, value: usize| field.set(&mut words, value as i64);
    let (kernel, caches) = (&layer.kernel, Caches::of(layer, plan, stream));
    let scale = if layer.pooled { 2 } else { 1 };
    set(nn::KERNEL_X_SIZE, kernel.size)?;
    set(nn::KERNEL_Y_SIZE, kernel.size)?;
    set(nn::KERNEL_Z_SIZE, kernel.inputs)?;
    set(nn::KERNELS_PER_CORE, plan.kernels_per_core)?;
    let pooling = if layer.pooled {
        Pooling::First
    } else {
        Pooling::None
    };
    set(nn::POOLING, pooling as usize)?;
    set(nn::POOLING_XY_SIZE, usize::from(!layer.pooled))?;
    set(nn::IN_IMAGE_X_SIZE, layer.input.x)?;
    set(nn::IN_IMAGE_Y_SIZE, layer.input.y)?;
    set(nn::IN_IMAGE_X_STRIDE, layer.input.x)?;
    set(nn::IN_IMAGE_Y_STRIDE, layer.input.y)?;
    set(nn::IN_IMAGE_BORDER_CONST, usize::from(layer.border))?;
    set(nn::OUT_IMAGE_X_SIZE, scale * layer.output.x)?;
    set(nn::OUT_IMAGE_Y_SIZE, scale * layer.output.y)?;
    set(nn::OUT_IMAGE_Z_SIZE, layer.output.z)?;
    set(nn::OUT_IMAGE_X_STRIDE, layer.output.x)?;
    set(nn::OUT_IMAGE_Y_STRIDE, layer.output.y)?;
    set(nn::OUT_IMAGE_TILE_X_SIZE, plan.tile_x)?;
    set(nn::OUT_IMAGE_TILE_Y_SIZE, plan.tile_y)?;
    set(nn::RELU, usize::from(stream.relu))?;
    set(nn::POST_MULTIPLIER, usize::from(layer.multiplier.mantissa))?;
    set(nn::POST_SHIFT, usize::from(layer.multiplier.shift))?;
    set(nn::COEF_ZERO_POINT, usize::from(kernel.zero))?;
    set(nn::OUT_ZERO_POINT, usize::from(layer.out_zero))?;
    set(nn::KERNEL_CACHING_MODE, caches.kernel_mode)?;
    set(nn::KERNEL_PATTERN_MSB, caches.pattern[0])?;
    set(nn::KERNEL_PATTERN_LOW, caches.pattern[1])?;
    set(nn::KERNEL_PATTERN_HIGH, caches.pattern[2])?;
    set(nn::KERNEL_CACHE_START, caches.kernel[0])?;
    set(nn::KERNEL_CACHE_END, caches.kernel[1])?;
    set(nn::IMAGE_CACHING_MODE, caches.image_mode)?;
    set(nn::IMAGE_CACHE_START, caches.image[0])?;
    set(nn::IMAGE_CACHE_END, caches.image[1])?;
    nn::IN_IMAGE_Y_OFFSET.set(&mut words, -(layer.pad[0] as i64))?;
    nn::IN_IMAGE_X_OFFSET.set(&mut words, -(layer.pad[1] as i64))?;
    debug_assert!(stream.bytes.len().is_multiple_of(ALIGN));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::super::coefficients::{Relu, encode};
    use super::*;
    use crate::executable::Evidence;
    use crate::npu::MapId;
    use crate::targets::vivante::kernels::{Kernel, Order, Placed};
    use crate::targets::vivante::program::{Multiplier, Side};
    use ferrite_ir::OpId;

    /// The vendor's reset job: a 2x2 convolution of 3x2x1 into 2x1x1.
    #[test]
    fn the_golden_job_comes_out_word_by_word() {
        let side = |map, x, y| Side {
            map: MapId::from_u32(map),
            offset: 0,
            x,
            y,
            z: 1,
        };
        let layer = Layer {
            op: OpId::from_u32(0),
            lowering: "conv",
            evidence: Evidence::Silicon,
            input: side(0, 3, 2),
            output: side(1, 2, 1),
            pad: [0, 0],
            border: 0,
            pooled: false,
            kernel: Kernel {
                data: vec![0xff; 4].into(),
                flip: 0,
                zero: 0,
                order: Order::Dense {
                    group_inputs: 1,
                    group_outputs: 1,
                },
                filter: [2, 2],
                dilation: [1, 1],
                size: 2,
                inputs: 1,
                outputs: 1,
                first: [0, 0],
                bias: vec![0],
            },
            multiplier: Multiplier {
                mantissa: 0x80,
                shift: 25,
            },
            out_zero: 0,
            relu: false,
        };
        let plan = plan(&layer);
        let placed = Placed {
            kernel: &layer.kernel,
            plane: 2,
        };
        let stream = encode(&placed, plan.superblocks, Relu::Clear);
        let mut words = descriptor(&layer, &plan, &stream).unwrap();
        nn::KERNEL_ADDRESS.set(&mut words, 0xdff4_8000).ok();
        words[6] = 0xdff6_f000;
        words[7] = 0xdff6_e000;
        let mut expected = [0; 32];
        expected[..22].copy_from_slice(&[
            0xa010_0048,
            0x0010_00c0,
            0xc800_0000,
            0x0008_0080,
            0x0208_4001,
            0x037f_d200,
            0xdff6_f000,
            0xdff6_e000,
            0x0001_2004,
            0,
            0,
            0x800,
            0xa00,
            0,
            0x800,
            0,
            0x0002_0003,
            0x0100_0002,
            0,
            0x03ff_ffff,
            0,
            0x03ff_ffff,
        ]);
        assert_eq!(words, expected);
    }
}
