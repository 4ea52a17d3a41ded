//! Parameters of builtin operators as the host's parser leaves them in `TfLiteNode::builtin_data`
//! (`builtin_op_data.h`). Members that no operator here needs and that come after all needed ones
//! are left out: the host allocates these structures, and they are only read.

use std::ffi::c_int;

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug)]
            #[allow(missing_docs)]
            pub struct $name { $(pub $field: $ty),* }
        )*
    };
}

params! {
    /// `TfLiteConvParams`
    Conv {
        padding: c_int,
        stride_width: c_int,
        stride_height: c_int,
        activation: c_int,
        dilation_width_factor: c_int,
        dilation_height_factor: c_int,
    }
    /// `TfLiteDepthwiseConvParams`
    DepthwiseConv {
        padding: c_int,
        stride_width: c_int,
        stride_height: c_int,
        depth_multiplier: c_int,
        activation: c_int,
        dilation_width_factor: c_int,
        dilation_height_factor: c_int,
    }
    /// `TfLitePoolParams`
    Pool {
        padding: c_int,
        stride_width: c_int,
        stride_height: c_int,
        filter_width: c_int,
        filter_height: c_int,
        activation: c_int,
    }
    /// `TfLiteFullyConnectedParams`
    FullyConnected {
        activation: c_int,
        weights_format: c_int,
        keep_num_dims: bool,
    }
    /// `TfLiteTransposeConvParams`, of which the activation came with version 4 of the operator
    TransposeConv {
        padding: c_int,
        stride_width: c_int,
        stride_height: c_int,
        activation: c_int,
    }
    /// `TfLiteAddParams`, `TfLiteSubParams`, `TfLiteMulParams`, `TfLiteDivParams`
    Arithmetic {
        activation: c_int,
    }
    /// `TfLiteConcatenationParams`
    Concatenation {
        axis: c_int,
        activation: c_int,
    }
    /// `TfLiteResizeBilinearParams`, `TfLiteResizeNearestNeighborParams`
    Resize {
        align_corners: bool,
        half_pixel_centers: bool,
    }
    /// `TfLiteReducerParams`
    Reducer {
        keep_dims: bool,
    }
    /// `TfLiteSoftmaxParams`
    Softmax {
        beta: f32,
    }
    /// `TfLiteLeakyReluParams`
    LeakyRelu {
        alpha: f32,
    }
    /// `TfLiteMirrorPaddingParams`
    MirrorPad {
        mode: c_int,
    }
    /// `TfLiteSpaceToDepthParams`, `TfLiteDepthToSpaceParams`
    Block {
        block_size: c_int,
    }
    /// `TfLiteStridedSliceParams` without its `offset`, which came with version 8 of the operator
    StridedSlice {
        begin_mask: c_int,
        end_mask: c_int,
        ellipsis_mask: c_int,
        new_axis_mask: c_int,
        shrink_axis_mask: c_int,
    }
    /// `TfLiteSplitParams`, `TfLiteSplitVParams`
    Split {
        num_splits: c_int,
    }
    /// `TfLitePackParams`
    Pack {
        values_count: c_int,
        axis: c_int,
    }
    /// `TfLiteUnpackParams`
    Unpack {
        num: c_int,
        axis: c_int,
    }
    /// `TfLiteArgMaxParams`
    ArgMax {
        output_type: c_int,
    }
    /// `TfLiteGatherParams`
    Gather {
        axis: c_int,
        batch_dims: c_int,
    }
}

/// Version of STRIDED_SLICE from which on its parameters may ask for sizes instead of ends.
pub const STRIDED_SLICE_OFFSET_VERSION: c_int = 8;
/// Version of TRANSPOSE_CONV from which on its parameters have an activation.
pub const TRANSPOSE_CONV_ACTIVATION_VERSION: c_int = 4;
