//! The hand-declared structures against header files of TFLite releases.
//!
//! The sizes and offsets that Rust gives are written into a C program of static assertions, which
//! is compiled against each source tree listed (with colons) in `FERRITE_TFLITE_SOURCES`: checkouts
//! of TensorFlow (`tensorflow/lite/...`) or LiteRT (`tflite/...`). Headers that a tree takes from
//! elsewhere, as LiteRT 1 does from TensorFlow, are looked for in the others of the list.

use ferrite_delegate::abi::*;
use ferrite_delegate::params;
use std::fmt::Write;
use std::mem::{align_of, offset_of};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Assertions for members, by their names here and in C.
macro_rules! members {
    ($text:expr, $c:literal, $ty:ty { $($field:ident $name:literal),* $(,)? }) => {$(
        let _ = writeln!(
            $text,
            "_Static_assert(offsetof({c}, {n}) == {}, \"{c}.{n}\");\n\
             _Static_assert(sizeof((({c} *)0)->{n}) == {}, \"size of {c}.{n}\");",
            offset_of!($ty, $field),
            size_of_field(|s: &$ty| &s.$field),
            c = $c,
            n = $name,
        );
    )*};
}

fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

/// Structures of which arrays are indexed, or that the host makes by value: the size counts too.
macro_rules! whole {
    ($text:expr, $c:literal, $ty:ty) => {
        let _ = writeln!(
            $text,
            "_Static_assert(sizeof({c}) == {}, \"size of {c}\");\n\
             _Static_assert(_Alignof({c}) == {}, \"alignment of {c}\");",
            size_of::<$ty>(),
            align_of::<$ty>(),
            c = $c,
        );
    };
}

/// Structures that are passed to the host with spare zeros: they may not be larger than that.
macro_rules! at_most {
    ($text:expr, $c:literal, $ty:ty) => {
        let _ = writeln!(
            $text,
            "_Static_assert(sizeof({c}) <= {}, \"size of {c}\");",
            size_of::<$ty>(),
            c = $c,
        );
    };
}

fn common() -> String {
    let mut t = String::new();
    whole!(t, "TfLiteIntArray", TfLiteIntArray);
    members!(t, "TfLiteIntArray", TfLiteIntArray { size "size" });
    whole!(t, "TfLiteFloatArray", TfLiteFloatArray);
    whole!(t, "TfLiteQuantizationParams", TfLiteQuantizationParams);
    whole!(t, "TfLiteQuantization", TfLiteQuantization);
    members!(t, "TfLiteQuantization", TfLiteQuantization { kind "type", params "params" });
    whole!(t, "TfLiteAffineQuantization", TfLiteAffineQuantization);
    members!(t, "TfLiteAffineQuantization", TfLiteAffineQuantization {
        scale "scale", zero_point "zero_point", quantized_dimension "quantized_dimension",
    });
    whole!(t, "TfLiteTensor", TfLiteTensor);
    members!(t, "TfLiteTensor", TfLiteTensor {
        kind "type", data "data", dims "dims", params "params",
        allocation_type "allocation_type", bytes "bytes", allocation "allocation", name "name",
        delegate "delegate", buffer_handle "buffer_handle", data_is_stale "data_is_stale",
        is_variable "is_variable", quantization "quantization", sparsity "sparsity",
        dims_signature "dims_signature",
    });
    members!(t, "TfLiteNode", TfLiteNode {
        inputs "inputs", outputs "outputs", intermediates "intermediates",
        temporaries "temporaries", user_data "user_data", builtin_data "builtin_data",
        custom_initial_data "custom_initial_data",
        custom_initial_data_size "custom_initial_data_size", delegate "delegate",
    });
    members!(t, "TfLiteDelegateParams", TfLiteDelegateParams {
        delegate "delegate", nodes_to_replace "nodes_to_replace",
        input_tensors "input_tensors", output_tensors "output_tensors",
    });
    at_most!(t, "TfLiteRegistration", TfLiteRegistration);
    members!(t, "TfLiteRegistration", TfLiteRegistration {
        init "init", free "free", prepare "prepare", invoke "invoke",
        profiling_string "profiling_string", builtin_code "builtin_code",
        custom_name "custom_name", version "version",
        registration_external "registration_external", async_kernel "async_kernel",
    });
    at_most!(t, "TfLiteDelegate", TfLiteDelegate);
    members!(t, "TfLiteDelegate", TfLiteDelegate {
        data "data_", prepare "Prepare", copy_from_buffer_handle "CopyFromBufferHandle",
        copy_to_buffer_handle "CopyToBufferHandle", free_buffer_handle "FreeBufferHandle",
        flags "flags", opaque_delegate_builder "opaque_delegate_builder",
    });
    members!(t, "TfLiteContext", TfLiteContext {
        tensors_size "tensors_size", get_execution_plan "GetExecutionPlan", tensors "tensors",
        implementation "impl_", resize_tensor "ResizeTensor", report_error "ReportError",
        add_tensors "AddTensors", get_node_and_registration "GetNodeAndRegistration",
        replace_node_subsets_with_delegate_kernels "ReplaceNodeSubsetsWithDelegateKernels",
    });
    for (name, value) in [
        ("kTfLiteOk", TfLiteStatus::Ok as i64),
        ("kTfLiteError", TfLiteStatus::Error as i64),
        ("kTfLiteDelegateError", TfLiteStatus::DelegateError as i64),
        ("kTfLiteFloat32", element::FLOAT32.into()),
        ("kTfLiteInt32", element::INT32.into()),
        ("kTfLiteUInt8", element::UINT8.into()),
        ("kTfLiteInt64", element::INT64.into()),
        ("kTfLiteBool", element::BOOL.into()),
        ("kTfLiteInt16", element::INT16.into()),
        ("kTfLiteInt8", element::INT8.into()),
        ("kTfLiteFloat16", element::FLOAT16.into()),
        ("kTfLiteMmapRo", ALLOCATION_MMAP_RO.into()),
        ("kTfLiteDynamic", ALLOCATION_DYNAMIC.into()),
        ("kTfLiteAffineQuantization", QUANTIZATION_AFFINE.into()),
        (
            "kTfLiteDelegateFlagsAllowDynamicTensors",
            FLAG_ALLOW_DYNAMIC_TENSORS,
        ),
        (
            "kTfLiteDelegateFlagsRequirePropagatedShapes",
            FLAG_REQUIRE_PROPAGATED_SHAPES,
        ),
    ] {
        let _ = writeln!(t, "_Static_assert({name} == {value}, \"{name}\");");
    }
    t
}

fn builtin_parameters() -> String {
    let mut t = String::new();
    members!(t, "TfLiteConvParams", params::Conv {
        padding "padding", stride_width "stride_width", stride_height "stride_height",
        activation "activation", dilation_width_factor "dilation_width_factor",
        dilation_height_factor "dilation_height_factor",
    });
    members!(t, "TfLiteDepthwiseConvParams", params::DepthwiseConv {
        padding "padding", stride_width "stride_width", stride_height "stride_height",
        depth_multiplier "depth_multiplier", activation "activation",
        dilation_width_factor "dilation_width_factor",
        dilation_height_factor "dilation_height_factor",
    });
    members!(t, "TfLitePoolParams", params::Pool {
        padding "padding", stride_width "stride_width", stride_height "stride_height",
        filter_width "filter_width", filter_height "filter_height", activation "activation",
    });
    members!(t, "TfLiteFullyConnectedParams", params::FullyConnected {
        activation "activation", weights_format "weights_format", keep_num_dims "keep_num_dims",
    });
    members!(t, "TfLiteTransposeConvParams", params::TransposeConv {
        padding "padding", stride_width "stride_width", stride_height "stride_height",
        activation "activation",
    });
    members!(t, "TfLiteAddParams", params::Arithmetic { activation "activation" });
    members!(t, "TfLiteSubParams", params::Arithmetic { activation "activation" });
    members!(t, "TfLiteMulParams", params::Arithmetic { activation "activation" });
    members!(t, "TfLiteDivParams", params::Arithmetic { activation "activation" });
    members!(t, "TfLiteConcatenationParams", params::Concatenation {
        axis "axis", activation "activation",
    });
    members!(t, "TfLiteResizeBilinearParams", params::Resize {
        align_corners "align_corners", half_pixel_centers "half_pixel_centers",
    });
    members!(t, "TfLiteResizeNearestNeighborParams", params::Resize {
        align_corners "align_corners", half_pixel_centers "half_pixel_centers",
    });
    members!(t, "TfLiteReducerParams", params::Reducer { keep_dims "keep_dims" });
    members!(t, "TfLiteSoftmaxParams", params::Softmax { beta "beta" });
    members!(t, "TfLiteLeakyReluParams", params::LeakyRelu { alpha "alpha" });
    members!(t, "TfLiteMirrorPaddingParams", params::MirrorPad { mode "mode" });
    members!(t, "TfLiteSpaceToDepthParams", params::Block { block_size "block_size" });
    members!(t, "TfLiteDepthToSpaceParams", params::Block { block_size "block_size" });
    members!(t, "TfLiteStridedSliceParams", params::StridedSlice {
        begin_mask "begin_mask", end_mask "end_mask", ellipsis_mask "ellipsis_mask",
        new_axis_mask "new_axis_mask", shrink_axis_mask "shrink_axis_mask",
    });
    members!(t, "TfLiteSplitParams", params::Split { num_splits "num_splits" });
    members!(t, "TfLiteSplitVParams", params::Split { num_splits "num_splits" });
    members!(t, "TfLitePackParams", params::Pack { values_count "values_count", axis "axis" });
    members!(t, "TfLiteUnpackParams", params::Unpack { num "num", axis "axis" });
    members!(t, "TfLiteArgMaxParams", params::ArgMax { output_type "output_type" });
    members!(t, "TfLiteGatherParams", params::Gather { axis "axis", batch_dims "batch_dims" });
    for (name, value) in [
        ("kTfLitePaddingSame", 1),
        ("kTfLitePaddingValid", 2),
        ("kTfLiteMirrorPaddingReflect", 1),
        ("kTfLiteMirrorPaddingSymmetric", 2),
        ("kTfLiteActNone", 0),
        ("kTfLiteActRelu", 1),
        ("kTfLiteActReluN1To1", 2),
        ("kTfLiteActRelu6", 3),
        ("kTfLiteFullyConnectedWeightsFormatDefault", 0),
    ] {
        let _ = writeln!(t, "_Static_assert({name} == {value}, \"{name}\");");
    }
    t
}

/// Compiles assertions against a header of a source tree; `Err` has the compiler's words.
fn compile(tree: &Path, header: &str, assertions: &str) -> Result<(), String> {
    // Some releases have headers that only C++ takes.
    let plain = compile_as("c", tree, header, "").is_ok();
    compile_as(if plain { "c" } else { "c++" }, tree, header, assertions)
}

fn compile_as(language: &str, tree: &Path, header: &str, assertions: &str) -> Result<(), String> {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("ferrite-layout-{}-{number}.c", std::process::id());
    let file = std::env::temp_dir().join(name);
    let words = match language {
        "c" => "",
        _ => "#define _Static_assert static_assert\n#define _Alignof alignof\n",
    };
    let source = format!("#include <stddef.h>\n#include \"{header}\"\n{words}{assertions}\n");
    std::fs::write(&file, source).unwrap();
    let output = Command::new("cc")
        .args(["-fsyntax-only", "-x", language, "-I"])
        .arg(tree)
        .args(
            trees()
                .iter()
                .flat_map(|(tree, _)| ["-I".as_ref(), tree.as_os_str()]),
        )
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn trees() -> Vec<(PathBuf, &'static str)> {
    let listed = std::env::var_os("FERRITE_TFLITE_SOURCES").unwrap_or_default();
    let folder = |tree: PathBuf| {
        let prefix = ["tflite", "tensorflow/lite"]
            .into_iter()
            .find(|prefix| tree.join(prefix).join("core/c/common.h").exists());
        let prefix = prefix.unwrap_or_else(|| panic!("{} has no TFLite headers", tree.display()));
        (tree, prefix)
    };
    let trees = std::env::split_paths(&listed).filter(|tree| !tree.as_os_str().is_empty());
    trees.map(folder).collect()
}

#[test]
fn structures_are_those_of_the_headers() {
    let trees = trees();
    if trees.is_empty() {
        eprintln!("skipped: FERRITE_TFLITE_SOURCES names no source trees of TFLite or LiteRT");
    }
    for (tree, prefix) in trees {
        let check = |header: &str, assertions: &str| {
            let errors = compile(&tree, header, assertions).err();
            assert_eq!(errors, None, "{}", tree.display());
        };
        let header = format!("{prefix}/core/c/common.h");
        check(&header, &common());
        let parameters = format!("{prefix}/core/c/builtin_op_data.h");
        match compile(&tree, &parameters, "") {
            Ok(()) => check(&parameters, &builtin_parameters()),
            Err(_) => eprintln!("skipped: {} has no operator parameters", tree.display()),
        }
        // The compiler does notice a wrong offset.
        let wrong = "_Static_assert(offsetof(TfLiteTensor, dims) == 24, \"moved\");";
        assert!(compile(&tree, &header, wrong).is_err());
    }
}

/// The layouts that were checked against TFLite 2.14 to LiteRT 2.3, for machines without headers.
#[test]
#[cfg(target_pointer_width = "64")]
fn structures_have_the_layout_of_64_bit_machines() {
    assert_eq!(size_of::<TfLiteTensor>(), 112);
    assert_eq!(offset_of!(TfLiteTensor, dims), 16);
    assert_eq!(offset_of!(TfLiteTensor, bytes), 40);
    assert_eq!(offset_of!(TfLiteTensor, buffer_handle), 72);
    assert_eq!(offset_of!(TfLiteTensor, is_variable), 77);
    assert_eq!(offset_of!(TfLiteTensor, quantization), 80);
    assert_eq!(offset_of!(TfLiteTensor, dims_signature), 104);
    assert_eq!(offset_of!(TfLiteNode, builtin_data), 40);
    assert_eq!(offset_of!(TfLiteNode, delegate), 64);
    assert_eq!(offset_of!(TfLiteRegistration, custom_name), 48);
    assert_eq!(offset_of!(TfLiteRegistration, inplace_operator), 80);
    assert_eq!(offset_of!(TfLiteDelegate, flags), 40);
    assert_eq!(
        offset_of!(TfLiteContext, replace_node_subsets_with_delegate_kernels),
        64
    );
    assert_eq!(size_of::<TfLiteAffineQuantization>(), 24);
    assert_eq!(size_of::<TfLiteIntArray>(), 4);
}
