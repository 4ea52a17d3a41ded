//! From an NN descriptor to a checked layer.

use crate::vivante::config::Config;
use crate::vivante::fault::{Check, FaultKind, expect, fixed, no_reserved, room};
use ferrite_hw::vivante::chip::{MAX_IMAGE, MAX_TILE_X, interleave};
use ferrite_hw::vivante::nn::{self, Pooling};
use ferrite_hw::vivante::{Field, Words};

/// A planar image in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Address of the first byte.
    pub address: u32,
    /// Width in bytes.
    pub width: u32,
    /// Height in rows.
    pub height: u32,
    /// Bytes of a row.
    pub x_stride: u32,
    /// Rows of a plane.
    pub y_stride: u32,
}

impl Plane {
    /// Rows follow each other without a gap, and so do planes.
    pub fn is_tight(&self) -> bool {
        self.x_stride == self.width && self.y_stride == self.height
    }

    /// Address of row `y` of plane `z`. May be beyond 32 bits, where nothing is mapped.
    pub fn row(&self, y: u32, z: u32) -> u64 {
        let rows = u64::from(z) * u64::from(self.y_stride) + u64::from(y);
        u64::from(self.address) + rows * u64::from(self.x_stride)
    }
}

/// A convolution as the engine runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// NN cores of the chip.
    pub cores: u32,
    /// Widest zero-run field.
    pub zrl_bits: u32,
    /// Kernel width.
    pub kernel_x: u32,
    /// Kernel height.
    pub kernel_y: u32,
    /// Input channels.
    pub kernel_z: u32,
    /// Kernels that a core works on at once.
    pub kernels_per_core: u32,
    /// Stream of coefficients.
    pub kernel_address: u32,
    /// Zero point of the weights.
    pub coef_zero_point: u8,
    /// Input.
    pub input: Plane,
    /// Column of the first tap of output column 0.
    pub x_offset: i32,
    /// Row of the first tap of output row 0.
    pub y_offset: i32,
    /// Value of taps outside the input.
    pub border: u8,
    /// Output, as it is stored (after pooling).
    pub output: Plane,
    /// Output channels.
    pub out_z: u32,
    /// Distance of the pixels that are kept: 2 with first-pixel pooling, else 1.
    pub stride: u32,
    /// Clamp negative accumulators.
    pub relu: bool,
    /// Significand of the scale, 2^15 to 2^16 - 1.
    pub multiplier: u32,
    /// Right shift of the scaled accumulator.
    pub shift: u32,
    /// Zero point of the output.
    pub out_zero_point: u8,
    /// Width of an output tile, before pooling.
    pub tile_x: u32,
    /// Height of an output tile, before pooling.
    pub tile_y: u32,
    /// The input stays in on-chip SRAM between superblocks.
    pub image_cached: bool,
    /// The coefficients stay in on-chip SRAM between tiles.
    pub kernels_cached: bool,
    /// Bytes of on-chip SRAM for coefficients.
    pub kernel_cache: u64,
}

impl Layer {
    /// Cores that have kernels.
    pub fn cores_used(&self) -> usize {
        self.out_z.min(self.cores) as usize
    }

    /// Kernels of each core; the last ones may be beyond the output.
    pub fn kernels_of_core(&self) -> u32 {
        self.out_z.div_ceil(self.cores_used() as u32)
    }

    /// Whether kernels are 1x1.
    pub fn is_pointwise(&self) -> bool {
        self.kernel_x == 1 && self.kernel_y == 1
    }

    /// Where the output plane of a channel starts, in bytes from the output's address.
    pub fn place(&self, channel: u32) -> u64 {
        let output = &self.output;
        u64::from(output.x_stride) * u64::from(output.y_stride) * u64::from(channel)
    }

    /// Passes over the kernels.
    pub fn superblocks(&self) -> u32 {
        self.kernels_of_core().div_ceil(self.kernels_per_core)
    }

    /// Checks a descriptor.
    pub fn decode(words: &Words, config: &Config) -> Check<Layer> {
        no_reserved(nn::FIELDS, words)?;
        only_generation_7(words)?;
        let get = |field: &Field| field.get_u32(words);
        let pooling = pooling(words)?;
        let stride = if pooling == Pooling::First { 2 } else { 1 };
        let layer = Layer {
            cores: config.chip.nn_cores,
            zrl_bits: config.chip.zrl_bits,
            kernel_x: get(&nn::KERNEL_X_SIZE),
            kernel_y: get(&nn::KERNEL_Y_SIZE),
            kernel_z: get(&nn::KERNEL_Z_SIZE),
            kernels_per_core: get(&nn::KERNELS_PER_CORE),
            kernel_address: get(&nn::KERNEL_ADDRESS),
            coef_zero_point: get(&nn::COEF_ZERO_POINT) as u8,
            input: Plane {
                address: get(&nn::IN_IMAGE_ADDRESS),
                width: get(&nn::IN_IMAGE_X_SIZE),
                height: get(&nn::IN_IMAGE_Y_SIZE),
                x_stride: get(&nn::IN_IMAGE_X_STRIDE),
                y_stride: get(&nn::IN_IMAGE_Y_STRIDE),
            },
            x_offset: nn::IN_IMAGE_X_OFFSET.get(words) as i32,
            y_offset: nn::IN_IMAGE_Y_OFFSET.get(words) as i32,
            border: get(&nn::IN_IMAGE_BORDER_CONST) as u8,
            output: Plane {
                address: get(&nn::OUT_IMAGE_ADDRESS),
                width: get(&nn::OUT_IMAGE_X_SIZE) / stride,
                height: get(&nn::OUT_IMAGE_Y_SIZE) / stride,
                x_stride: get(&nn::OUT_IMAGE_X_STRIDE),
                y_stride: get(&nn::OUT_IMAGE_Y_STRIDE),
            },
            out_z: get(&nn::OUT_IMAGE_Z_SIZE),
            stride,
            relu: get(&nn::RELU) != 0,
            multiplier: 0x8000 | get(&nn::POST_MULTIPLIER),
            shift: get(&nn::POST_SHIFT),
            out_zero_point: get(&nn::OUT_ZERO_POINT) as u8,
            tile_x: get(&nn::OUT_IMAGE_TILE_X_SIZE),
            tile_y: get(&nn::OUT_IMAGE_TILE_Y_SIZE),
            image_cached: get(&nn::IMAGE_CACHING_MODE) == 1,
            kernels_cached: get(&nn::KERNEL_CACHING_MODE) == 1,
            kernel_cache: u64::from(
                get(&nn::KERNEL_CACHE_END).saturating_sub(get(&nn::KERNEL_CACHE_START)),
            ),
        };
        layer.check_sizes(words, config)?;
        layer.check_strides(words, config)?;
        layer.check_tiles(config)?;
        layer.check_caches(words, config)?;
        config.usual(
            (15..64).contains(&layer.shift),
            "an NN scale of 2 or more, or a tiny one",
        )?;
        Ok(layer)
    }

    fn check_sizes(&self, words: &Words, config: &Config) -> Check {
        for field in [
            &nn::KERNEL_Z_SIZE,
            &nn::KERNELS_PER_CORE,
            &nn::IN_IMAGE_X_SIZE,
            &nn::IN_IMAGE_Y_SIZE,
            &nn::OUT_IMAGE_X_SIZE,
            &nn::OUT_IMAGE_Y_SIZE,
            &nn::OUT_IMAGE_Z_SIZE,
            &nn::OUT_IMAGE_TILE_X_SIZE,
            &nn::OUT_IMAGE_TILE_Y_SIZE,
        ] {
            expect(field, words, field.get(words) > 0, "a size of 0")?;
        }
        for field in [&nn::OUT_IMAGE_X_SIZE, &nn::OUT_IMAGE_Y_SIZE] {
            let even = field.get_u32(words).is_multiple_of(self.stride);
            expect(field, words, even, "first-pixel pooling of an odd size")?;
        }
        let most = config.chip.max_kernel;
        for field in [&nn::KERNEL_X_SIZE, &nn::KERNEL_Y_SIZE] {
            let fits = (1..=most).contains(&field.get_u32(words));
            expect(
                field,
                words,
                fits,
                "the kernel is 1 to 11 pixels wide and high",
            )?;
        }
        let border = nn::IN_IMAGE_BORDER_CONST.get(words);
        expect(
            &nn::IN_IMAGE_BORDER_CONST,
            words,
            border < 256,
            "not a byte",
        )?;
        config.usual(self.kernel_x <= 6, "kernels wider than 6 columns")?;
        config.usual(
            self.kernel_x == self.kernel_y,
            "kernels that are not square",
        )?;
        config.usual(
            self.kernel_x > 1 || self.kernel_z > 1 || self.kernel_y > 1,
            "1x1 kernels of one channel",
        )?;
        config.usual(
            (-2..=0).contains(&self.x_offset) && (-2..=0).contains(&self.y_offset),
            "offsets other than 0, -1 and -2",
        )
    }

    fn check_strides(&self, words: &Words, config: &Config) -> Check {
        for (plane, x_stride, y_stride) in [
            (&self.input, &nn::IN_IMAGE_X_STRIDE, &nn::IN_IMAGE_Y_STRIDE),
            (
                &self.output,
                &nn::OUT_IMAGE_X_STRIDE,
                &nn::OUT_IMAGE_Y_STRIDE,
            ),
        ] {
            let wide = plane.x_stride >= plane.width;
            expect(x_stride, words, wide, "rows overlap")?;
            let high = plane.y_stride >= plane.height;
            expect(y_stride, words, high, "planes overlap")?;
            config.usual(
                plane.is_tight(),
                "image strides other than the image's size",
            )?;
        }
        let height = self.input.height.max(self.output.height * self.stride);
        room("image height", height.into(), MAX_IMAGE.into())
    }

    /// What the compilers of this NPU keep to; that the hardware needs it is inferred.
    fn check_tiles(&self, config: &Config) -> Check {
        room("tile width", self.tile_x.into(), MAX_TILE_X.into())?;
        let lines = u64::from(interleave(self.tile_x, self.kernel_y));
        let rows = u64::from(self.tile_y + self.kernel_y - 1);
        let depth = u64::from(config.chip.input_buffer_depth) * lines;
        room("a tile's rows in the input buffer", rows, depth)?;
        let accumulators = u64::from(config.chip.accum_buffer_depth);
        let kernels = u64::from(self.kernels_per_core);
        let needed = kernels * u64::from(self.tile_y);
        room("accumulator rows of a tile", needed, accumulators * lines)?;
        if self.kernel_x == 1 {
            room("kernels 1 wide in a core", kernels, accumulators / 3)?;
        }
        Ok(())
    }

    fn check_caches(&self, words: &Words, config: &Config) -> Check {
        let get = |field: &Field| field.get_u32(words);
        let (images, kernels) = (get(&nn::IMAGE_CACHING_MODE), get(&nn::KERNEL_CACHING_MODE));
        let why = "only 0 and 1 are known to be used";
        expect(&nn::IMAGE_CACHING_MODE, words, images <= 1, why)?;
        let why = "only 0, 1 and 2 are known to be used";
        expect(&nn::KERNEL_CACHING_MODE, words, kernels <= 2, why)?;
        config.usual(kernels != 0, "coefficients that are not cached")?;
        for (start, end) in [
            (&nn::KERNEL_CACHE_START, &nn::KERNEL_CACHE_END),
            (&nn::IMAGE_CACHE_START, &nn::IMAGE_CACHE_END),
        ] {
            let sram = u64::from(config.chip.vip_sram_bytes);
            room("on-chip SRAM window", get(end).into(), sram)?;
            let ordered = get(start) <= get(end) || get(end) == 0;
            expect(end, words, ordered, "the window ends before it starts")?;
        }
        if kernels == 2 {
            return self.check_image_room(words);
        }
        fixed(
            words,
            &[
                (&nn::KERNEL_PATTERN_MSB, 0),
                (&nn::KERNEL_PATTERN_LOW, 0),
                (&nn::KERNEL_PATTERN_HIGH, 0),
            ],
        )?;
        let apart = get(&nn::IMAGE_CACHE_END) <= get(&nn::KERNEL_CACHE_START)
            || get(&nn::KERNEL_CACHE_END) <= get(&nn::IMAGE_CACHE_START);
        let why = "image and coefficient windows overlap";
        expect(&nn::IMAGE_CACHE_START, words, kernels == 0 || apart, why)?;
        self.check_image_room(words)
    }

    /// A cached image: all channels of a tile's input.
    fn check_image_room(&self, words: &Words) -> Check {
        if !self.image_cached {
            return Ok(());
        }
        let pixels = (self.tile_x + self.kernel_x - 1) * (self.tile_y + self.kernel_y - 1);
        let start = nn::IMAGE_CACHE_START.get_u32(words);
        let end = nn::IMAGE_CACHE_END.get_u32(words);
        room(
            "bytes of a tile's input in on-chip SRAM",
            u64::from(pixels) * u64::from(self.kernel_z),
            end.saturating_sub(start).into(),
        )
    }
}

fn pooling(words: &Words) -> Check<Pooling> {
    let pooling = Pooling::from_code(nn::POOLING.get_u32(words));
    let size = match pooling {
        Pooling::None => 1,
        Pooling::First => 0,
        Pooling::Max | Pooling::Average => {
            return Err(FaultKind::NotModelled("max and average pooling of NN jobs"));
        }
    };
    fixed(words, &[(&nn::POOLING_XY_SIZE, size)])?;
    Ok(pooling)
}

/// Fields with one value in all jobs that are known to run on the chip.
fn only_generation_7(words: &Words) -> Check {
    const UNUSED: [&Field; 20] = [
        &nn::LAYER_TYPE,
        &nn::NO_Z_OFFSET,
        &nn::PRELU,
        &nn::KERNEL_DATA_TYPE,
        &nn::IN_IMAGE_DATA_TYPE,
        &nn::OUT_IMAGE_DATA_TYPE,
        &nn::BRICK_MODE,
        &nn::BRICK_DISTANCE,
        &nn::NO_FLUSH,
        &nn::PARTIAL_CACHE_DATA_UNIT,
        &nn::IN_IMAGE_BORDER_MODE,
        &nn::OUT_CIRCULAR_SIZE,
        &nn::PER_CHANNEL_POST_MUL,
        &nn::V8_UNNAMED,
        &nn::V8_IN_IMAGE_X_OFFSET_4,
        &nn::V8_IN_IMAGE_Y_OFFSET_4,
        &nn::IN_CIRCULAR_SIZE,
        &nn::KERNEL_DIRECT_STREAM,
        &nn::V8_DEPTHWISE,
        &nn::V8_POST_MULTIPLIER_HIGH,
    ];
    for field in UNUSED {
        fixed(words, &[(field, 0)])?;
    }
    fixed(
        words,
        &[
            (&nn::NN_LAYER_FLUSH, 1),
            (&nn::ROUNDING_MODE, nn::ROUND_NEAREST),
            (&nn::OUT_CIRCULAR_END, 0xffff_ffc0),
            (&nn::IN_CIRCULAR_END, 0xffff_ffc0),
        ],
    )?;
    for (field, mesa) in [
        (&nn::UNKNOWN_28, 0x03ff_ffff),
        (&nn::UNKNOWN_29, 0x7f80_0000),
        (&nn::UNKNOWN_30, 0xff80_0000),
    ] {
        let bits = field.bits(words);
        expect(field, words, bits == 0 || bits == mesa, "unknown value")?;
    }
    Ok(())
}
