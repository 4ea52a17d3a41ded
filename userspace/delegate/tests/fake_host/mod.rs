//! A host that does what TFLite does with a delegate, as far as one partition needs it. Real
//! runtimes are in `tests/delegate`; this one can be given devices that fail.

use ferrite_delegate::abi::*;
use ferrite_delegate::engine::Engine;
use ferrite_delegate::params;
use ferrite_delegate::plugin::{delegate, tflite_plugin_destroy_delegate};
use ferrite_ir::op::{Activation, Padding};
use ferrite_ir::{DType, Graph, OpKind};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

/// A delegate, which is destroyed when dropped.
pub struct Delegate(pub *mut TfLiteDelegate);

impl Delegate {
    pub fn new(engine: Engine) -> Delegate {
        Delegate(delegate(engine))
    }
}

impl Drop for Delegate {
    fn drop(&mut self) {
        // SAFETY: what `delegate` made, destroyed once.
        unsafe { tflite_plugin_destroy_delegate(self.0) }
    }
}

/// An array as TFLite has it. Leaked: the tests make a few.
fn ints(elements: &[c_int]) -> *mut TfLiteIntArray {
    let mut words = vec![elements.len() as c_int];
    words.extend(elements);
    words.leak().as_mut_ptr().cast()
}

fn boxed<T>(value: T) -> *mut c_void {
    Box::into_raw(Box::new(value)).cast()
}

/// An interpreter of one model. It stays where it is: the context points into it.
pub struct FakeHost {
    context: TfLiteContext,
    tensors: Vec<TfLiteTensor>,
    memory: Vec<Vec<u64>>,
    nodes: Vec<TfLiteNode>,
    registrations: Vec<TfLiteRegistration>,
    plan: *mut TfLiteIntArray,
    graph: Graph,
    kernel: Option<(TfLiteRegistration, TfLiteNode)>,
    taken: usize,
    /// What was reported.
    pub errors: Vec<String>,
}

fn builtin(kind: &OpKind) -> (i32, *mut c_void) {
    let activation = |a: Activation| match a {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::ReluN1To1 => 2,
        Activation::Relu6 => 3,
    };
    let padding = |p: Padding| match p {
        Padding::Same => 1,
        Padding::Valid => 2,
    };
    match kind {
        OpKind::Conv2d(p) => {
            let params = params::Conv {
                padding: padding(p.padding),
                stride_width: p.stride.w as c_int,
                stride_height: p.stride.h as c_int,
                activation: activation(p.activation),
                dilation_width_factor: p.dilation.w as c_int,
                dilation_height_factor: p.dilation.h as c_int,
            };
            (3, boxed(params))
        }
        OpKind::DepthwiseConv2d {
            params: p,
            multiplier,
        } => {
            let params = params::DepthwiseConv {
                padding: padding(p.padding),
                stride_width: p.stride.w as c_int,
                stride_height: p.stride.h as c_int,
                depth_multiplier: *multiplier as c_int,
                activation: activation(p.activation),
                dilation_width_factor: p.dilation.w as c_int,
                dilation_height_factor: p.dilation.h as c_int,
            };
            (4, boxed(params))
        }
        OpKind::Reshape => (22, ptr::null_mut()),
        // What the tests do not delegate needs no parameters.
        _ => (32, ptr::null_mut()),
    }
}

impl FakeHost {
    /// An interpreter of `graph`.
    pub fn new(graph: Graph) -> Box<FakeHost> {
        let mut memory = Vec::new();
        let mut tensors = Vec::new();
        for tensor in graph.tensors.values() {
            let mut words = vec![0u64; tensor.bytes().div_ceil(8).max(1)];
            if let Some(data) = &tensor.data {
                for (word, bytes) in words.iter_mut().zip(data.chunks(8)) {
                    let mut whole = [0; 8];
                    whole[..bytes.len()].copy_from_slice(bytes);
                    *word = u64::from_le_bytes(whole);
                }
            }
            let dims: Vec<c_int> = tensor.shape.iter().map(|&d| d as c_int).collect();
            let quantization = tensor.quant.as_ref().map_or(
                TfLiteQuantization {
                    kind: 0,
                    params: ptr::null_mut(),
                },
                |q| {
                    let scales: Vec<c_int> =
                        q.scales.iter().map(|s| s.to_bits() as c_int).collect();
                    TfLiteQuantization {
                        kind: QUANTIZATION_AFFINE,
                        params: boxed(TfLiteAffineQuantization {
                            scale: ints(&scales).cast(),
                            zero_point: ints(&q.zero_points),
                            quantized_dimension: q.axis as i32,
                        }),
                    }
                },
            );
            tensors.push(TfLiteTensor {
                kind: match tensor.dtype {
                    DType::U8 => element::UINT8,
                    DType::I8 => element::INT8,
                    DType::I32 => element::INT32,
                    DType::F32 => element::FLOAT32,
                    other => panic!("{other} in a test model"),
                },
                data: words.as_mut_ptr().cast(),
                dims: ints(&dims),
                params: TfLiteQuantizationParams {
                    scale: 0.0,
                    zero_point: 0,
                },
                allocation_type: if tensor.is_constant() {
                    ALLOCATION_MMAP_RO
                } else {
                    2
                },
                bytes: tensor.bytes(),
                allocation: ptr::null(),
                name: CString::new(tensor.name.clone()).unwrap().into_raw(),
                delegate: ptr::null_mut(),
                buffer_handle: -1,
                data_is_stale: false,
                is_variable: false,
                quantization,
                sparsity: ptr::null_mut(),
                dims_signature: ptr::null(),
            });
            memory.push(words);
        }
        let mut nodes = Vec::new();
        let mut registrations = Vec::new();
        for node in graph.nodes() {
            let inputs = node
                .inputs
                .iter()
                .map(|id| id.map_or(-1, |id| id.as_u32() as c_int));
            let outputs = node.outputs.iter().map(|id| id.as_u32() as c_int);
            let (code, builtin_data) = builtin(&node.kind);
            nodes.push(TfLiteNode {
                inputs: ints(&inputs.collect::<Vec<_>>()),
                outputs: ints(&outputs.collect::<Vec<_>>()),
                builtin_data,
                ..empty_node()
            });
            registrations.push(TfLiteRegistration {
                builtin_code: code,
                ..empty_registration()
            });
        }
        let plan: Vec<c_int> = (0..nodes.len() as c_int).collect();
        let mut host = Box::new(FakeHost {
            context: TfLiteContext {
                tensors_size: tensors.len(),
                get_execution_plan: Some(get_execution_plan),
                tensors: ptr::null_mut(),
                implementation: ptr::null_mut(),
                resize_tensor: None,
                // SAFETY: the delegate passes `%s` and one string; on x86-64 and arm64 Linux such
                // arguments go where those of a function with three parameters do.
                report_error: Some(unsafe {
                    std::mem::transmute::<
                        unsafe extern "C" fn(*mut TfLiteContext, *const c_char, *const c_char),
                        unsafe extern "C" fn(*mut TfLiteContext, *const c_char, ...),
                    >(report_error)
                }),
                add_tensors: ptr::null_mut(),
                get_node_and_registration: Some(get_node_and_registration),
                replace_node_subsets_with_delegate_kernels: Some(replace),
            },
            tensors,
            memory,
            nodes,
            registrations,
            plan: ints(&plan),
            graph,
            kernel: None,
            taken: 0,
            errors: Vec::new(),
        });
        host.context.tensors = host.tensors.as_mut_ptr();
        host.context.implementation = (&raw mut *host).cast();
        host
    }

    fn context(&mut self) -> *mut TfLiteContext {
        // All calls go through the pointer to the whole host, which the callbacks use too.
        let host: *mut FakeHost = self;
        self.context.implementation = host.cast();
        // SAFETY: the host is alive.
        unsafe { &raw mut (*host).context }
    }

    /// Lets a delegate choose; returns its status.
    pub fn modify_with(&mut self, delegate: *mut TfLiteDelegate) -> TfLiteStatus {
        let context = self.context();
        // SAFETY: a delegate of this library, called as a host does.
        unsafe { ((*delegate).prepare.unwrap())(context, delegate) }
    }

    /// Whether a kernel was made.
    pub fn is_delegated(&self) -> bool {
        self.kernel.is_some()
    }

    /// Nodes that the kernel stands for.
    #[allow(dead_code)]
    pub fn delegated(&self) -> usize {
        self.taken
    }

    /// Prepares the kernel.
    pub fn prepare(&mut self) -> TfLiteStatus {
        let context = self.context();
        let (registration, node) = self.kernel.as_mut().unwrap();
        // SAFETY: the kernel's own function and node, called as a host does.
        unsafe { (registration.prepare.unwrap())(context, node) }
    }

    /// Runs the kernel.
    pub fn invoke(&mut self) -> TfLiteStatus {
        let context = self.context();
        let (registration, node) = self.kernel.as_mut().unwrap();
        // SAFETY: the kernel's own function and node, called as a host does.
        unsafe { (registration.invoke.unwrap())(context, node) }
    }

    /// The bytes of a tensor.
    pub fn bytes(&self, tensor: usize) -> Vec<u8> {
        let words = self.memory[tensor]
            .iter()
            .flat_map(|word| word.to_le_bytes());
        words.take(self.tensors[tensor].bytes).collect()
    }

    /// Fills a tensor with a pattern.
    pub fn fill(&mut self, tensor: usize, seed: u64) {
        let mut state = seed | 1;
        for word in &mut self.memory[tensor] {
            state = state.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(17) ^ 0x9e37;
            *word = state;
        }
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        if let Some((registration, node)) = self.kernel.take() {
            // SAFETY: what `init` made, given back once.
            unsafe { (registration.free.unwrap())(&mut self.context, node.user_data) }
        }
    }
}

fn empty_node() -> TfLiteNode {
    TfLiteNode {
        inputs: ptr::null_mut(),
        outputs: ptr::null_mut(),
        intermediates: ptr::null_mut(),
        temporaries: ptr::null_mut(),
        user_data: ptr::null_mut(),
        builtin_data: ptr::null_mut(),
        custom_initial_data: ptr::null(),
        custom_initial_data_size: 0,
        delegate: ptr::null_mut(),
        might_have_side_effect: false,
    }
}

fn empty_registration() -> TfLiteRegistration {
    TfLiteRegistration {
        init: None,
        free: None,
        prepare: None,
        invoke: None,
        profiling_string: None,
        builtin_code: 0,
        custom_name: ptr::null(),
        version: 1,
        registration_external: ptr::null_mut(),
        async_kernel: ptr::null_mut(),
        inplace_operator: 0,
        later: [0; 8],
    }
}

/// The host of a context.
///
/// # Safety
/// The context is one of a living [`FakeHost`], to which no other reference is in use.
unsafe fn host<'a>(context: *mut TfLiteContext) -> &'a mut FakeHost {
    // SAFETY: by the caller's promise.
    unsafe { &mut *(*context).implementation.cast::<FakeHost>() }
}

unsafe extern "C" fn report_error(
    context: *mut TfLiteContext,
    format: *const c_char,
    text: *const c_char,
) {
    // SAFETY: the delegate passes its context and two C strings.
    unsafe {
        assert_eq!(CStr::from_ptr(format), c"ferrite: %s");
        let text = CStr::from_ptr(text).to_str().unwrap().to_owned();
        host(context).errors.push(text);
    }
}

unsafe extern "C" fn get_execution_plan(
    context: *mut TfLiteContext,
    plan: *mut *mut TfLiteIntArray,
) -> RawStatus {
    // SAFETY: the delegate passes its context and a place for the pointer.
    unsafe { *plan = host(context).plan };
    0
}

unsafe extern "C" fn get_node_and_registration(
    context: *mut TfLiteContext,
    index: c_int,
    node: *mut *mut TfLiteNode,
    registration: *mut *mut TfLiteRegistration,
) -> RawStatus {
    // SAFETY: the delegate passes its context and places for the pointers.
    unsafe {
        let host = host(context);
        *node = &mut host.nodes[index as usize];
        *registration = &mut host.registrations[index as usize];
    }
    0
}

unsafe extern "C" fn replace(
    context: *mut TfLiteContext,
    registration: TfLiteRegistration,
    nodes: *const TfLiteIntArray,
    delegate: *mut TfLiteDelegate,
) -> RawStatus {
    // SAFETY: the delegate passes its context and an array.
    let (host, chosen) = unsafe { (host(context), ferrite_delegate::host::ints(nodes).to_vec()) };
    let taken = |op: ferrite_ir::OpId| chosen.contains(&(op.as_u32() as c_int));
    let graph = &host.graph;
    let made: Vec<_> = graph
        .op_ids()
        .filter(|&op| taken(op))
        .flat_map(|op| graph.node(op).outputs.clone())
        .collect();
    let uses = graph.uses();
    let outside = |id| uses.consumers(id).iter().any(|&op| !taken(op));
    let outputs = made
        .iter()
        .filter(|&&id| graph.outputs.contains(&id) || outside(id));
    let outputs: Vec<c_int> = outputs.map(|id| id.as_u32() as c_int).collect();
    let mut params = TfLiteDelegateParams {
        delegate,
        nodes_to_replace: ints(&chosen),
        input_tensors: ints(&[]),
        output_tensors: ints(&outputs),
    };
    let params: *mut TfLiteDelegateParams = &mut params;
    // SAFETY: the registration's own function, called as a host does.
    let user_data = unsafe { (registration.init.unwrap())(context, params.cast(), 0) };
    // SAFETY: as above.
    let host = unsafe { self::host(context) };
    host.taken = chosen.len();
    host.kernel = Some((
        registration,
        TfLiteNode {
            user_data,
            ..empty_node()
        },
    ));
    0
}
