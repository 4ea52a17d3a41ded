//! The host's side of the interface behind safe types: contexts, nodes, tensors.

use crate::abi::{
    self, RawStatus, TfLiteContext, TfLiteDelegate, TfLiteFloatArray, TfLiteIntArray, TfLiteNode,
    TfLiteRegistration, TfLiteTensor,
};
use ferrite_ir::{Bytes, Shape};
use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

/// A call of the host that failed, or that it does not offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The host has no such function.
    #[error("the host's {0} is absent: its TFLite is not one that delegates can be used with")]
    Absent(&'static str),
    /// The host refused.
    #[error("the host's {call} failed with status {status}")]
    Status {
        /// The function.
        call: &'static str,
        /// What it returned.
        status: RawStatus,
    },
    /// A tensor index that the host does not have.
    #[error("tensor {index} of {count} does not exist")]
    NoTensor {
        /// The index.
        index: i32,
        /// Tensors there are.
        count: usize,
    },
    /// No memory.
    #[error("out of memory")]
    Memory,
}

fn check(call: &'static str, status: RawStatus) -> Result<(), HostError> {
    match status {
        0 => Ok(()),
        status => Err(HostError::Status { call, status }),
    }
}

/// The interpreter's context during one call of the delegate.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    context: NonNull<TfLiteContext>,
    call: PhantomData<&'a TfLiteContext>,
}

impl<'a> Host<'a> {
    /// A context; `None` for a null pointer.
    ///
    /// # Safety
    /// `context` is null or what the host passed to the call that is being served, and `'a` ends
    /// with that call.
    pub unsafe fn new(context: *mut TfLiteContext) -> Option<Host<'a>> {
        Some(Host {
            context: NonNull::new(context)?,
            call: PhantomData,
        })
    }

    fn get(&self) -> &TfLiteContext {
        // SAFETY: `new` was given the host's live context, which is not freed during the call. The
        // host changes members only inside of its own functions, and no reference from here is held
        // across those.
        unsafe { self.context.as_ref() }
    }

    /// Tells interpreters apart while they live.
    pub fn id(&self) -> usize {
        self.context.addr().get()
    }

    /// Indices of the nodes in execution order.
    pub fn execution_plan(&self) -> Result<Vec<i32>, HostError> {
        const CALL: &str = "GetExecutionPlan";
        let function = self
            .get()
            .get_execution_plan
            .ok_or(HostError::Absent(CALL))?;
        let mut plan = ptr::null_mut();
        // SAFETY: the context's own function with its own context; it fills in the pointer.
        check(CALL, unsafe { function(self.context.as_ptr(), &mut plan) })?;
        // SAFETY: on success the pointer is to an array that lives until the host's next such call.
        Ok(unsafe { ints(plan) }.to_vec())
    }

    /// A node.
    pub fn node(&self, index: i32) -> Result<Node<'a>, HostError> {
        const CALL: &str = "GetNodeAndRegistration";
        let function = self
            .get()
            .get_node_and_registration
            .ok_or(HostError::Absent(CALL))?;
        let (mut node, mut registration) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the context's own function with its own context; it checks the index and fills in
        // both pointers.
        check(CALL, unsafe {
            function(self.context.as_ptr(), index, &mut node, &mut registration)
        })?;
        // SAFETY: on success both point to live structures of the host, which nothing changes now.
        let (node, registration): (Option<&TfLiteNode>, Option<&TfLiteRegistrationHead>) = unsafe {
            (
                node.as_ref(),
                registration.cast::<TfLiteRegistrationHead>().as_ref(),
            )
        };
        let (Some(node), Some(registration)) = (node, registration) else {
            return Err(HostError::Absent("node"));
        };
        Ok(Node {
            // SAFETY: the arrays belong to the node, which nothing here makes the host change.
            inputs: unsafe { ints(node.inputs) },
            // SAFETY: as above.
            outputs: unsafe { ints(node.outputs) },
            builtin_code: registration.builtin_code,
            version: registration.version,
            // SAFETY: the host's names are null or C strings.
            custom_name: unsafe { text(registration.custom_name) },
            delegated: !node.delegate.is_null(),
            builtin_data: node.builtin_data,
        })
    }

    /// Number of tensors.
    pub fn tensors(&self) -> usize {
        self.get().tensors_size
    }

    /// A tensor.
    pub fn tensor(&self, index: i32) -> Result<Tensor<'a>, HostError> {
        let count = self.tensors();
        let offset = usize::try_from(index).ok().filter(|&i| i < count);
        let offset = offset.ok_or(HostError::NoTensor { index, count })?;
        let tensors = NonNull::new(self.get().tensors).ok_or(HostError::Absent("tensors"))?;
        // SAFETY: the host has `count` tensors in a row there, and the index is below that.
        let tensor = unsafe { tensors.add(offset) };
        Ok(Tensor {
            tensor,
            call: PhantomData,
        })
    }

    /// Gives a tensor other dimensions (and memory, if it is a dynamic one).
    pub fn resize(&self, index: i32, shape: &[usize]) -> Result<(), HostError> {
        const CALL: &str = "ResizeTensor";
        let function = self.get().resize_tensor.ok_or(HostError::Absent(CALL))?;
        let tensor = self.tensor(index)?.tensor;
        let dims: Vec<c_int> = shape.iter().map(|&d| d as c_int).collect();
        let array = IntArray::new(&dims).ok_or(HostError::Memory)?;
        // SAFETY: the context's own function, its own tensor, and an array from `malloc`, which the
        // function takes over whatever it returns.
        check(CALL, unsafe {
            function(self.context.as_ptr(), tensor.as_ptr(), array.into_raw())
        })
    }

    /// Hands nodes over to kernels of `registration`, one for each partition that the host makes.
    ///
    /// # Safety
    /// The functions of `registration` fit the host's interface, and `delegate` is the delegate
    /// that the host is preparing.
    pub unsafe fn replace_nodes(
        &self,
        registration: TfLiteRegistration,
        nodes: &[i32],
        delegate: *mut TfLiteDelegate,
    ) -> Result<(), HostError> {
        const CALL: &str = "ReplaceNodeSubsetsWithDelegateKernels";
        let function = self
            .get()
            .replace_node_subsets_with_delegate_kernels
            .ok_or(HostError::Absent(CALL))?;
        let nodes = IntArray::new(nodes).ok_or(HostError::Memory)?;
        // SAFETY: as the caller promises; the array is only read and lives through the call.
        check(CALL, unsafe {
            function(
                self.context.as_ptr(),
                registration,
                nodes.as_ptr(),
                delegate,
            )
        })
    }

    /// Tells the host's error reporter.
    pub fn report(&self, message: &str) {
        let Some(function) = self.get().report_error else {
            return;
        };
        let message = c_text(message);
        // SAFETY: the context's own function; `%s` takes the one C string that follows.
        unsafe {
            function(
                self.context.as_ptr(),
                c"ferrite: %s".as_ptr(),
                message.as_ptr(),
            )
        }
    }
}

/// The first members of `TfLiteRegistration`, the same in all releases: what the host allocated
/// may end before what this build knows.
#[repr(C)]
struct TfLiteRegistrationHead {
    functions: [*const std::ffi::c_void; 5],
    builtin_code: i32,
    custom_name: *const c_char,
    version: c_int,
}

/// A node.
#[derive(Debug)]
pub struct Node<'a> {
    /// Operands, -1 for an omitted one.
    pub inputs: &'a [i32],
    /// Results.
    pub outputs: &'a [i32],
    /// Code of the operator.
    pub builtin_code: i32,
    /// Version of the operator.
    pub version: c_int,
    /// Name of a custom operator.
    pub custom_name: Option<String>,
    /// Whether it is a delegate's kernel.
    pub delegated: bool,
    builtin_data: *const std::ffi::c_void,
}

impl Node<'_> {
    /// The operator's parameters, `None` if the host gives none.
    ///
    /// # Safety
    /// `P` is the structure that the host's parser makes for this operator's code and version, or
    /// its beginning, and the host has not changed the graph since it gave the node.
    pub unsafe fn params<P: Copy>(&self) -> Option<P> {
        // SAFETY: as the caller promises, that is what a pointer that is not null points to.
        unsafe { self.builtin_data.cast::<P>().as_ref() }.copied()
    }
}

/// A tensor of the host.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    tensor: NonNull<TfLiteTensor>,
    call: PhantomData<&'a TfLiteTensor>,
}

/// A part of the host's model file, which the host keeps, unchanged, as long as it uses the
/// interpreter.
struct ModelBytes {
    data: NonNull<u8>,
    len: usize,
}

// SAFETY: nothing writes to the bytes, so any thread may read them.
unsafe impl Send for ModelBytes {}
// SAFETY: as above.
unsafe impl Sync for ModelBytes {}

impl AsRef<[u8]> for ModelBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the host had that many bytes there when `Tensor::constant` looked; its caller
        // promises to call this only while the host keeps them.
        unsafe { slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

/// Affine quantisation as the host has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization<'a> {
    /// Scales.
    pub scales: &'a [f32],
    /// Zero points.
    pub zero_points: &'a [i32],
    /// The dimension that has several scales.
    pub axis: i32,
}

impl<'a> Tensor<'a> {
    fn get(&self) -> &TfLiteTensor {
        // SAFETY: `Host::tensor` found it among the host's tensors, which stay in place during the
        // call: nothing here makes the host add tensors.
        unsafe { self.tensor.as_ref() }
    }

    /// `TfLiteType`.
    pub fn kind(&self) -> c_int {
        self.get().kind
    }

    /// Name.
    pub fn name(&self) -> String {
        // SAFETY: the host's names are null or C strings.
        unsafe { text(self.get().name) }.unwrap_or_default()
    }

    /// Dimensions; `None` if the host does not know them.
    pub fn shape(&self) -> Option<Shape> {
        let dims = NonNull::new(self.get().dims)?;
        // SAFETY: the array belongs to the tensor.
        let dims = unsafe { ints(dims.as_ptr()) };
        dims.iter().map(|&d| usize::try_from(d).ok()).collect()
    }

    /// Whether the model file holds the value.
    pub fn is_constant(&self) -> bool {
        self.get().allocation_type == abi::ALLOCATION_MMAP_RO && !self.get().data.is_null()
    }

    /// Whether its memory comes and goes while the graph runs.
    pub fn is_dynamic(&self) -> bool {
        self.get().allocation_type == abi::ALLOCATION_DYNAMIC
    }

    /// Whether it keeps its value from run to run.
    pub fn is_variable(&self) -> bool {
        self.get().is_variable
    }

    /// Whether it is stored sparsely.
    pub fn is_sparse(&self) -> bool {
        !self.get().sparsity.is_null()
    }

    /// Quantisation with one or more scales. `Err` with the kind if it is one unknown here.
    pub fn quantization(&self) -> Result<Option<Quantization<'_>>, c_int> {
        let tensor = self.get();
        match tensor.quantization.kind {
            0 => return Ok(None),
            abi::QUANTIZATION_AFFINE => {}
            kind => return Err(kind),
        }
        let params = tensor
            .quantization
            .params
            .cast::<abi::TfLiteAffineQuantization>();
        // SAFETY: `kind` says what the pointer is to; it belongs to the tensor.
        let Some(params) = (unsafe { params.as_ref() }) else {
            return Ok(None);
        };
        Ok(Some(Quantization {
            // SAFETY: the arrays belong to the tensor.
            scales: unsafe { floats(params.scale) },
            // SAFETY: as above.
            zero_points: unsafe { ints(params.zero_point) },
            axis: params.quantized_dimension,
        }))
    }

    /// Number of the elements' bytes; `None` while there is no memory for them.
    pub fn bytes(&self) -> Option<usize> {
        let tensor = self.get();
        (!tensor.data.is_null()).then_some(tensor.bytes)
    }

    /// A constant's bytes where the host has them; `None` if there are not exactly `len`.
    ///
    /// # Safety
    /// Nothing looks at them outside of the host's calls for this interpreter.
    pub unsafe fn constant(&self, len: usize) -> Option<Bytes> {
        let tensor = self.get();
        let found = self.is_constant() && tensor.bytes == len;
        let data = NonNull::new(tensor.data.cast::<u8>()).filter(|_| found)?;
        Some(Bytes::new(ModelBytes { data, len }))
    }

    /// Copies the elements' bytes. `false` if there is no memory for exactly as many.
    #[must_use]
    pub fn read(&self, bytes: &mut [u8]) -> bool {
        let tensor = self.get();
        if tensor.data.is_null() || tensor.bytes != bytes.len() {
            return bytes.is_empty();
        }
        // SAFETY: the host has that many bytes there, which `bytes`, memory of this library, does
        // not overlap.
        unsafe {
            ptr::copy_nonoverlapping(tensor.data.cast(), bytes.as_mut_ptr(), bytes.len());
        }
        true
    }

    /// Replaces the elements' bytes. `false` if there is no memory for exactly as many.
    #[must_use]
    pub fn write(&self, bytes: &[u8]) -> bool {
        let tensor = self.get();
        if tensor.data.is_null() || tensor.bytes != bytes.len() {
            return bytes.is_empty();
        }
        // SAFETY: the host has that many bytes there for the delegate to write, which `bytes`,
        // memory of this library, does not overlap. No reference to them is ever made here.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), tensor.data.cast(), bytes.len()) };
        true
    }
}

/// The elements of an array; none for a null pointer.
///
/// # Safety
/// `array` is null or an array of the host that stays as it is for `'a`.
pub unsafe fn ints<'a>(array: *const TfLiteIntArray) -> &'a [c_int] {
    let Some(array) = NonNull::new(array.cast_mut()) else {
        return &[];
    };
    // SAFETY: by the caller's promise `size` elements follow it.
    unsafe {
        let size = usize::try_from((*array.as_ptr()).size).unwrap_or(0);
        std::slice::from_raw_parts((&raw const (*array.as_ptr()).data).cast(), size)
    }
}

/// As [`ints`].
///
/// # Safety
/// As [`ints`].
unsafe fn floats<'a>(array: *const TfLiteFloatArray) -> &'a [f32] {
    let Some(array) = NonNull::new(array.cast_mut()) else {
        return &[];
    };
    // SAFETY: by the caller's promise `size` elements follow it.
    unsafe {
        let size = usize::try_from((*array.as_ptr()).size).unwrap_or(0);
        std::slice::from_raw_parts((&raw const (*array.as_ptr()).data).cast(), size)
    }
}

/// A C string's text; `None` for a null pointer.
///
/// # Safety
/// `string` is null or a C string.
pub unsafe fn text(string: *const c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    // SAFETY: by the caller's promise.
    let string = unsafe { CStr::from_ptr(string) };
    Some(match string.to_str() {
        Ok(text) => text.to_owned(),
        Err(_) => string.to_string_lossy().into_owned(),
    })
}

/// A C string of a message, whatever it holds.
pub fn c_text(message: &str) -> CString {
    let bytes: Vec<u8> = message.bytes().filter(|&b| b != 0).collect();
    CString::new(bytes).unwrap_or_default()
}

/// An array from `malloc`, as TFLite's own come.
struct IntArray(NonNull<TfLiteIntArray>);

impl IntArray {
    fn new(elements: &[c_int]) -> Option<IntArray> {
        let size = c_int::try_from(elements.len()).ok()?;
        let bytes = size_of::<TfLiteIntArray>() + size_of_val(elements);
        // SAFETY: `malloc` may be called with any size.
        let array = NonNull::new(unsafe { libc_malloc(bytes) }.cast::<TfLiteIntArray>())?;
        // SAFETY: the memory is new, aligned for everything, and holds the head and the elements.
        unsafe {
            (*array.as_ptr()).size = size;
            let data = (&raw mut (*array.as_ptr()).data).cast::<c_int>();
            ptr::copy_nonoverlapping(elements.as_ptr(), data, elements.len());
        }
        Some(IntArray(array))
    }

    fn as_ptr(&self) -> *const TfLiteIntArray {
        self.0.as_ptr()
    }

    /// The array, now someone else's to free.
    fn into_raw(self) -> *mut TfLiteIntArray {
        let array = self.0.as_ptr();
        std::mem::forget(self);
        array
    }
}

impl Drop for IntArray {
    fn drop(&mut self) {
        // SAFETY: it came from `malloc` and was not given away.
        unsafe { libc_free(self.0.as_ptr().cast()) }
    }
}

unsafe extern "C" {
    #[link_name = "malloc"]
    fn libc_malloc(bytes: usize) -> *mut std::ffi::c_void;
    #[link_name = "free"]
    fn libc_free(memory: *mut std::ffi::c_void);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_hold_what_they_are_made_from() {
        for elements in [&[][..], &[7], &[1, -2, c_int::MAX]] {
            let array = IntArray::new(elements).unwrap();
            // SAFETY: the array is alive and of this module's making.
            assert_eq!(unsafe { ints(array.as_ptr()) }, elements);
        }
        // SAFETY: null is allowed.
        assert!(unsafe { ints(ptr::null()) }.is_empty());
    }

    #[test]
    fn messages_lose_only_what_c_cannot_hold() {
        assert_eq!(c_text("a\0b").as_bytes(), b"ab");
    }
}
