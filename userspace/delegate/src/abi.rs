//! TFLite's C structures as this delegate uses them, declared by hand: hosts load delegates with
//! local binding, so nothing of TFLite can be imported, and its headers are not needed to build.
//!
//! TFLite calls the order of members "semi-ABI stable": members are only ever added at the end.
//! The layouts are those of `core/c/common.h` and `builtin_op_data.h`, the same from TFLite 2.14
//! to LiteRT 2.3; `tests/layout.rs` compares them with headers of releases. Structures that the
//! host reads (and may read further than this build knows) end in zeros.

use std::ffi::{c_char, c_int, c_void};

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "on 32-bit machines structures are passed in other ways, and have not been compared with TFLite's"
);

/// `TfLiteStatus`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TfLiteStatus {
    /// `kTfLiteOk`
    Ok = 0,
    /// `kTfLiteError`
    Error = 1,
    /// `kTfLiteDelegateError`: the host restores the graph it had before.
    DelegateError = 2,
}

/// `TfLiteStatus` as the host returns it: later releases know more values.
pub type RawStatus = c_int;

/// `TfLiteType` values of the element types that [`ferrite_ir::DType`] has.
pub mod element {
    use std::ffi::c_int;
    /// float
    pub const FLOAT32: c_int = 1;
    /// int32
    pub const INT32: c_int = 2;
    /// uint8
    pub const UINT8: c_int = 3;
    /// int64
    pub const INT64: c_int = 4;
    /// bool
    pub const BOOL: c_int = 6;
    /// int16
    pub const INT16: c_int = 7;
    /// int8
    pub const INT8: c_int = 9;
    /// half
    pub const FLOAT16: c_int = 10;
}

/// `kTfLiteMmapRo`: a constant of the model.
pub const ALLOCATION_MMAP_RO: c_int = 1;
/// `kTfLiteDynamic`: allocated while the graph runs.
pub const ALLOCATION_DYNAMIC: c_int = 4;
/// `kTfLiteAffineQuantization`
pub const QUANTIZATION_AFFINE: c_int = 1;
/// `kTfLiteDelegateFlagsAllowDynamicTensors`
pub const FLAG_ALLOW_DYNAMIC_TENSORS: i64 = 1;
/// `kTfLiteDelegateFlagsRequirePropagatedShapes`
pub const FLAG_REQUIRE_PROPAGATED_SHAPES: i64 = 2;

/// `TfLiteIntArray`: the elements follow.
#[repr(C)]
pub struct TfLiteIntArray {
    /// Number of elements.
    pub size: c_int,
    /// The elements.
    pub data: [c_int; 0],
}

/// `TfLiteFloatArray`: the elements follow.
#[repr(C)]
pub struct TfLiteFloatArray {
    /// Number of elements.
    pub size: c_int,
    /// The elements.
    pub data: [f32; 0],
}

/// `TfLiteQuantizationParams`, the older form for one scale.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TfLiteQuantizationParams {
    /// Real units of one step.
    pub scale: f32,
    /// Stored value of zero.
    pub zero_point: i32,
}

/// `TfLiteQuantization`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TfLiteQuantization {
    /// What `params` points to.
    pub kind: c_int,
    /// A [`TfLiteAffineQuantization`] if `kind` is [`QUANTIZATION_AFFINE`].
    pub params: *mut c_void,
}

/// `TfLiteAffineQuantization`.
#[repr(C)]
pub struct TfLiteAffineQuantization {
    /// Scales.
    pub scale: *mut TfLiteFloatArray,
    /// Zero points.
    pub zero_point: *mut TfLiteIntArray,
    /// The dimension that has several scales.
    pub quantized_dimension: i32,
}

/// `TfLiteTensor`.
#[repr(C)]
pub struct TfLiteTensor {
    /// `TfLiteType`.
    pub kind: c_int,
    /// The elements, if there is memory for them.
    pub data: *mut c_void,
    /// Dimensions.
    pub dims: *mut TfLiteIntArray,
    /// Older form of `quantization`.
    pub params: TfLiteQuantizationParams,
    /// `TfLiteAllocationType`.
    pub allocation_type: c_int,
    /// Bytes at `data`.
    pub bytes: usize,
    /// The model file's mapping.
    pub allocation: *const c_void,
    /// Name, may be null.
    pub name: *const c_char,
    /// Delegate that owns `buffer_handle`.
    pub delegate: *mut TfLiteDelegate,
    /// -1 for none.
    pub buffer_handle: c_int,
    /// Whether the truth is in the delegate's buffer.
    pub data_is_stale: bool,
    /// Whether it keeps its value from run to run.
    pub is_variable: bool,
    /// Quantisation.
    pub quantization: TfLiteQuantization,
    /// Not null for sparse tensors.
    pub sparsity: *mut c_void,
    /// Dimensions with -1 for unknown ones.
    pub dims_signature: *const TfLiteIntArray,
}

/// `TfLiteNode`.
#[repr(C)]
pub struct TfLiteNode {
    /// Operands: tensor indices, -1 for an omitted one.
    pub inputs: *mut TfLiteIntArray,
    /// Results.
    pub outputs: *mut TfLiteIntArray,
    /// Not used here.
    pub intermediates: *mut TfLiteIntArray,
    /// Not used here.
    pub temporaries: *mut TfLiteIntArray,
    /// What [`TfLiteRegistration::init`] returned.
    pub user_data: *mut c_void,
    /// Parameters of a builtin operator: see [`crate::params`].
    pub builtin_data: *mut c_void,
    /// Parameters of a custom operator.
    pub custom_initial_data: *const c_void,
    /// Bytes of it.
    pub custom_initial_data_size: c_int,
    /// The delegate that made this node.
    pub delegate: *mut TfLiteDelegate,
    /// Whether it may have side effects.
    pub might_have_side_effect: bool,
}

/// `TfLiteDelegateParams`: the argument of a delegate kernel's `init`.
#[repr(C)]
pub struct TfLiteDelegateParams {
    /// The delegate.
    pub delegate: *mut TfLiteDelegate,
    /// Nodes that the kernel stands for, in execution order.
    pub nodes_to_replace: *mut TfLiteIntArray,
    /// Tensors that it reads, constants among them.
    pub input_tensors: *mut TfLiteIntArray,
    /// Tensors that it makes.
    pub output_tensors: *mut TfLiteIntArray,
}

/// `TfLiteRegistration`. Passed to the host by value, in memory on both x86-64 and arm64: a host
/// that knows less of it reads less.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TfLiteRegistration {
    /// Makes the kernel.
    pub init: Option<unsafe extern "C" fn(*mut TfLiteContext, *const c_char, usize) -> *mut c_void>,
    /// Frees the kernel.
    pub free: Option<unsafe extern "C" fn(*mut TfLiteContext, *mut c_void)>,
    /// Gets shapes right.
    pub prepare: Option<unsafe extern "C" fn(*mut TfLiteContext, *mut TfLiteNode) -> TfLiteStatus>,
    /// Runs.
    pub invoke: Option<unsafe extern "C" fn(*mut TfLiteContext, *mut TfLiteNode) -> TfLiteStatus>,
    /// Text for profiles.
    pub profiling_string:
        Option<unsafe extern "C" fn(*const TfLiteContext, *const TfLiteNode) -> *const c_char>,
    /// `TfLiteBuiltinOperator`.
    pub builtin_code: i32,
    /// Name of a custom operator.
    pub custom_name: *const c_char,
    /// Version of the operator.
    pub version: c_int,
    /// Not used here.
    pub registration_external: *mut c_void,
    /// Not used here.
    pub async_kernel: *mut c_void,
    /// Not used here.
    pub inplace_operator: u64,
    /// For members that later releases add.
    pub later: [u64; 8],
}

/// `TfLiteDelegate`.
#[repr(C)]
pub struct TfLiteDelegate {
    /// Ours.
    pub data: *mut c_void,
    /// Chooses nodes.
    pub prepare:
        Option<unsafe extern "C" fn(*mut TfLiteContext, *mut TfLiteDelegate) -> TfLiteStatus>,
    /// Not used here.
    pub copy_from_buffer_handle: *mut c_void,
    /// Not used here.
    pub copy_to_buffer_handle: *mut c_void,
    /// Not used here.
    pub free_buffer_handle: *mut c_void,
    /// `TfLiteDelegateFlags`.
    pub flags: i64,
    /// Not used here.
    pub opaque_delegate_builder: *mut c_void,
    /// For members that later releases add.
    pub later: [u64; 8],
}

/// `TfLiteContext`, as far as it is used. The host makes it.
#[repr(C)]
pub struct TfLiteContext {
    /// Number of tensors.
    pub tensors_size: usize,
    /// Node indices in execution order.
    pub get_execution_plan:
        Option<unsafe extern "C" fn(*mut TfLiteContext, *mut *mut TfLiteIntArray) -> RawStatus>,
    /// The tensors. They move when the host adds some.
    pub tensors: *mut TfLiteTensor,
    /// The host's.
    pub implementation: *mut c_void,
    /// Sets the dimensions of a tensor; takes the array over, and frees it with `free`.
    pub resize_tensor: Option<
        unsafe extern "C" fn(
            *mut TfLiteContext,
            *mut TfLiteTensor,
            *mut TfLiteIntArray,
        ) -> RawStatus,
    >,
    /// The host's error reporter: `printf` arguments.
    pub report_error: Option<unsafe extern "C" fn(*mut TfLiteContext, *const c_char, ...)>,
    /// Not used here.
    pub add_tensors: *mut c_void,
    /// A node by its index.
    pub get_node_and_registration: Option<
        unsafe extern "C" fn(
            *mut TfLiteContext,
            c_int,
            *mut *mut TfLiteNode,
            *mut *mut TfLiteRegistration,
        ) -> RawStatus,
    >,
    /// Puts kernels of this registration in place of nodes; splits them into partitions.
    pub replace_node_subsets_with_delegate_kernels: Option<
        unsafe extern "C" fn(
            *mut TfLiteContext,
            TfLiteRegistration,
            *const TfLiteIntArray,
            *mut TfLiteDelegate,
        ) -> RawStatus,
    >,
}
