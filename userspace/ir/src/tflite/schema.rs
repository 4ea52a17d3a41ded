//! Field indices of the tables that the reader looks at (TFLite schema version 3c).

/// Declares the fields of one table.
macro_rules! fields {
    ($(#[$doc:meta])* $table:ident { $($name:ident = $index:literal $text:literal),* $(,)? }) => {
        $(#[$doc])*
        pub(super) mod $table {
            use crate::flatbuffer::Field;
            $(pub const $name: Field = Field::new($text, $index);)*
        }
    };
}

fields!(model {
    VERSION = 0 "version",
    OPERATOR_CODES = 1 "operator_codes",
    SUBGRAPHS = 2 "subgraphs",
    BUFFERS = 4 "buffers",
});
fields!(operator_code {
    DEPRECATED_BUILTIN_CODE = 0 "deprecated_builtin_code",
    CUSTOM_CODE = 1 "custom_code",
    BUILTIN_CODE = 3 "builtin_code",
});
fields!(subgraph {
    TENSORS = 0 "tensors",
    INPUTS = 1 "inputs",
    OUTPUTS = 2 "outputs",
    OPERATORS = 3 "operators",
    NAME = 4 "name",
});
fields!(tensor {
    SHAPE = 0 "shape",
    TYPE = 1 "type",
    BUFFER = 2 "buffer",
    NAME = 3 "name",
    QUANTIZATION = 4 "quantization",
    IS_VARIABLE = 5 "is_variable",
    SPARSITY = 6 "sparsity",
    EXTERNAL_BUFFER = 10 "external_buffer",
});
fields!(quantization {
    SCALE = 2 "scale",
    ZERO_POINT = 3 "zero_point",
    DETAILS_TYPE = 4 "details_type",
    QUANTIZED_DIMENSION = 6 "quantized_dimension",
});
fields!(buffer {
    DATA = 0 "data",
    OFFSET = 1 "offset",
    SIZE = 2 "size",
});
fields!(operator {
    OPCODE_INDEX = 0 "opcode_index",
    INPUTS = 1 "inputs",
    OUTPUTS = 2 "outputs",
    BUILTIN_OPTIONS_TYPE = 3 "builtin_options_type",
    BUILTIN_OPTIONS = 4 "builtin_options",
    CUSTOM_OPTIONS = 5 "custom_options",
    LARGE_CUSTOM_OPTIONS_OFFSET = 9 "large_custom_options_offset",
});
fields!(conv {
    PADDING = 0 "padding",
    STRIDE_W = 1 "stride_w",
    STRIDE_H = 2 "stride_h",
    ACTIVATION = 3 "fused_activation_function",
    DILATION_W = 4 "dilation_w_factor",
    DILATION_H = 5 "dilation_h_factor",
});
fields!(depthwise_conv {
    PADDING = 0 "padding",
    STRIDE_W = 1 "stride_w",
    STRIDE_H = 2 "stride_h",
    DEPTH_MULTIPLIER = 3 "depth_multiplier",
    ACTIVATION = 4 "fused_activation_function",
    DILATION_W = 5 "dilation_w_factor",
    DILATION_H = 6 "dilation_h_factor",
});
fields!(pool {
    PADDING = 0 "padding",
    STRIDE_W = 1 "stride_w",
    STRIDE_H = 2 "stride_h",
    FILTER_WIDTH = 3 "filter_width",
    FILTER_HEIGHT = 4 "filter_height",
    ACTIVATION = 5 "fused_activation_function",
});
fields!(fully_connected {
    ACTIVATION = 0 "fused_activation_function",
    WEIGHTS_FORMAT = 1 "weights_format",
    KEEP_NUM_DIMS = 2 "keep_num_dims",
});
fields!(
    /// ADD, SUB, MUL and DIV begin alike.
    arithmetic {
        ACTIVATION = 0 "fused_activation_function",
    }
);
fields!(concatenation {
    AXIS = 0 "axis",
    ACTIVATION = 1 "fused_activation_function",
});
fields!(transpose_conv {
    PADDING = 0 "padding",
    STRIDE_W = 1 "stride_w",
    STRIDE_H = 2 "stride_h",
    ACTIVATION = 3 "fused_activation_function",
});
fields!(resize_bilinear {
    ALIGN_CORNERS = 2 "align_corners",
    HALF_PIXEL_CENTERS = 3 "half_pixel_centers",
});
fields!(resize_nearest {
    ALIGN_CORNERS = 0 "align_corners",
    HALF_PIXEL_CENTERS = 1 "half_pixel_centers",
});
fields!(reducer {
    KEEP_DIMS = 0 "keep_dims",
});
fields!(softmax {
    BETA = 0 "beta",
});
fields!(leaky_relu {
    ALPHA = 0 "alpha",
});
fields!(mirror_pad {
    MODE = 0 "mode",
});
fields!(
    /// SPACE_TO_DEPTH and DEPTH_TO_SPACE.
    block {
        BLOCK_SIZE = 0 "block_size",
    }
);
fields!(strided_slice {
    BEGIN_MASK = 0 "begin_mask",
    END_MASK = 1 "end_mask",
    ELLIPSIS_MASK = 2 "ellipsis_mask",
    NEW_AXIS_MASK = 3 "new_axis_mask",
    SHRINK_AXIS_MASK = 4 "shrink_axis_mask",
    OFFSET = 5 "offset",
});
fields!(split {
    NUM_SPLITS = 0 "num_splits",
});
fields!(pack {
    VALUES_COUNT = 0 "values_count",
    AXIS = 1 "axis",
});
fields!(unpack {
    NUM = 0 "num",
    AXIS = 1 "axis",
});
fields!(arg_max {
    OUTPUT_TYPE = 0 "output_type",
});
fields!(gather {
    AXIS = 0 "axis",
    BATCH_DIMS = 1 "batch_dims",
});

/// Values of the union tag `BuiltinOptions`.
pub(super) mod options {
    pub const NONE: u8 = 0;
    pub const CONV: u8 = 1;
    pub const DEPTHWISE_CONV: u8 = 2;
    pub const POOL: u8 = 5;
    pub const FULLY_CONNECTED: u8 = 8;
    pub const SOFTMAX: u8 = 9;
    pub const CONCATENATION: u8 = 10;
    pub const ADD: u8 = 11;
    pub const RESIZE_BILINEAR: u8 = 15;
    pub const SPACE_TO_DEPTH: u8 = 19;
    pub const MUL: u8 = 21;
    pub const GATHER: u8 = 23;
    pub const REDUCER: u8 = 27;
    pub const SUB: u8 = 28;
    pub const DIV: u8 = 29;
    pub const STRIDED_SLICE: u8 = 32;
    pub const SPLIT: u8 = 35;
    pub const ARG_MAX: u8 = 40;
    pub const TRANSPOSE_CONV: u8 = 49;
    pub const PACK: u8 = 59;
    pub const UNPACK: u8 = 64;
    pub const RESIZE_NEAREST: u8 = 74;
    pub const LEAKY_RELU: u8 = 75;
    pub const MIRROR_PAD: u8 = 77;
    pub const SPLIT_V: u8 = 79;
    pub const DEPTH_TO_SPACE: u8 = 94;
}
