//! The functions that hosts call. No panic leaves them: it becomes an error of the call.

use crate::abi::{
    FLAG_ALLOW_DYNAMIC_TENSORS, FLAG_REQUIRE_PROPAGATED_SHAPES, TfLiteContext, TfLiteDelegate,
    TfLiteDelegateParams, TfLiteNode, TfLiteRegistration, TfLiteStatus,
};
use crate::engine::Engine;
use crate::host::{self, Host, HostError};
use crate::import::import;
use crate::kernel::Kernel;
use crate::logger;
use crate::options::{OnError, Options};
use crate::partition::{self, Chosen};
use ferrite_compiler::{Placement, Plan};
use ferrite_process::{Process, opened_before_fork, variable};
use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// Name of the kernels in the host's graph.
const NAME: &std::ffi::CStr = c"FerriteDelegate";

/// How a host's error reporter for plugins looks.
pub type ReportError = Option<unsafe extern "C" fn(*const c_char)>;

/// What the host holds; it sees the first member.
#[repr(C)]
struct Delegate {
    abi: TfLiteDelegate,
    engine: Arc<Engine>,
    /// For the partitions of models that are being prepared now, by interpreter.
    chosen: Mutex<HashMap<usize, Chosen>>,
}

impl Delegate {
    fn chosen(&self) -> MutexGuard<'_, HashMap<usize, Chosen>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a delegate. Null, after a call of `report_error`, if the options are wrong or the device
/// cannot be used.
///
/// # Safety
/// `keys` and `values` hold `count` C strings each; `report_error` is null or takes a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tflite_plugin_create_delegate(
    keys: *const *const c_char,
    values: *const *const c_char,
    count: usize,
    report_error: ReportError,
) -> *mut TfLiteDelegate {
    let report = |message: &str| {
        if let Some(report) = report_error {
            let message = host::c_text(message);
            // SAFETY: the host's function, given a C string.
            unsafe { report(message.as_ptr()) }
        }
    };
    let create = || -> Result<*mut TfLiteDelegate, String> {
        let string = |array: *const *const c_char, i: usize| {
            if array.is_null() {
                return String::new();
            }
            // SAFETY: as the caller promises, `i` being below `count`.
            unsafe { host::text(*array.add(i)) }.unwrap_or_default()
        };
        let given = (0..count).map(|i| (string(keys, i), string(values, i)));
        let given: Vec<_> = given.collect();
        let options = Options::read(&given, |name| variable(name)?.into_string().ok());
        let options = options.map_err(|error| error.to_string())?;
        logger::raise(options.log);
        let engine = match Engine::open(&options) {
            Ok(engine) => engine,
            Err(error) if options.on_error == OnError::Cpu => {
                report(&format!("ferrite: {error}; leaving everything to TFLite"));
                log::error!("{error}; leaving everything to TFLite");
                Engine::without_npu(&options)
            }
            Err(error) => return Err(error.to_string()),
        };
        Ok(delegate(engine))
    };
    match catch_unwind(AssertUnwindSafe(create)) {
        Ok(Ok(delegate)) => delegate,
        Ok(Err(error)) => {
            report(&format!("ferrite: {error}"));
            ptr::null_mut()
        }
        Err(panic) => {
            report(&format!("ferrite: internal error: {}", panic_text(&*panic)));
            ptr::null_mut()
        }
    }
}

/// Frees a delegate. Kernels that it made go on working: they hold what they need.
///
/// # Safety
/// `delegate` is null or came from [`tflite_plugin_create_delegate`], and was not destroyed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tflite_plugin_destroy_delegate(delegate: *mut TfLiteDelegate) {
    if delegate.is_null() {
        return;
    }
    // SAFETY: by the caller's promise this is the box that creation made.
    let delegate = unsafe { Box::from_raw(delegate.cast::<Delegate>()) };
    // A panic while a device is closed has nobody to be reported to.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(delegate)));
}

/// A delegate of `engine`, for [`tflite_plugin_destroy_delegate`] to free.
pub fn delegate(engine: Engine) -> *mut TfLiteDelegate {
    let delegate = Delegate {
        abi: TfLiteDelegate {
            data: ptr::null_mut(),
            prepare: Some(prepare_delegate),
            copy_from_buffer_handle: ptr::null_mut(),
            copy_to_buffer_handle: ptr::null_mut(),
            free_buffer_handle: ptr::null_mut(),
            // Dynamic tensors elsewhere in the graph do no harm; and when the host resizes inputs,
            // it works out all shapes before it prepares the kernels again.
            flags: FLAG_ALLOW_DYNAMIC_TENSORS | FLAG_REQUIRE_PROPAGATED_SHAPES,
            opaque_delegate_builder: ptr::null_mut(),
            later: [0; 8],
        },
        engine: Arc::new(engine),
        chosen: Mutex::default(),
    };
    Box::into_raw(Box::new(delegate)).cast()
}

fn registration() -> TfLiteRegistration {
    TfLiteRegistration {
        init: Some(init_kernel),
        free: Some(free_kernel),
        prepare: Some(prepare_kernel),
        invoke: Some(invoke_kernel),
        profiling_string: None,
        builtin_code: 0,
        custom_name: NAME.as_ptr(),
        version: 1,
        registration_external: ptr::null_mut(),
        async_kernel: ptr::null_mut(),
        inplace_operator: 0,
        later: [0; 8],
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}

/// Runs the body of one call of the host: errors and panics are reported, and become `failed`.
fn serve(
    context: *mut TfLiteContext,
    failed: TfLiteStatus,
    body: impl FnOnce(&Host<'_>) -> Result<(), String>,
) -> TfLiteStatus {
    // SAFETY: the host calls with its live context, which outlives this call.
    let Some(host) = (unsafe { Host::new(context) }) else {
        return failed;
    };
    let message = match catch_unwind(AssertUnwindSafe(|| body(&host))) {
        Ok(Ok(())) => return TfLiteStatus::Ok,
        Ok(Err(message)) => message,
        Err(panic) => format!("internal error: {}", panic_text(&*panic)),
    };
    host.report(&message);
    failed
}

unsafe extern "C" fn prepare_delegate(
    context: *mut TfLiteContext,
    delegate: *mut TfLiteDelegate,
) -> TfLiteStatus {
    serve(context, TfLiteStatus::DelegateError, |host| {
        // SAFETY: the host passes the delegate that it was given, alive during the call.
        let Some(ours) = (unsafe { delegate.cast::<Delegate>().as_ref() }) else {
            return Err("no delegate given".to_owned());
        };
        let Some(chosen) = choose(ours, host)? else {
            return Ok(());
        };
        let nodes: Vec<i32> = chosen.nodes().collect();
        ours.chosen().insert(host.id(), chosen);
        // SAFETY: the registration holds this module's functions, made for it.
        let replaced = unsafe { host.replace_nodes(registration(), &nodes, delegate) };
        ours.chosen().remove(&host.id());
        replaced.map_err(words)
    })
}

fn words(error: HostError) -> String {
    error.to_string()
}

/// What goes to the device, if anything does.
fn choose(delegate: &Delegate, host: &Host<'_>) -> Result<Option<Chosen>, String> {
    let Some(options) = delegate.engine.compile_options() else {
        return Ok(None);
    };
    if !delegate.engine.process().is_current() {
        let error = opened_before_fork("the delegate", delegate.engine.process());
        return match delegate.engine.on_error() {
            OnError::Fail => Err(error),
            OnError::Cpu => {
                host.report(&format!("{error}; leaving the model to TFLite"));
                Ok(None)
            }
        };
    }
    let nodes = host.execution_plan().map_err(words)?;
    let mut imported = import(host, &nodes, None).map_err(words)?;
    let plan = match Plan::new(std::mem::take(&mut imported.graph), options) {
        Ok(plan) => plan,
        Err(error) => {
            host.report(&format!("leaving the model to TFLite: {error}"));
            return Ok(None);
        }
    };
    let graph = plan.graph();
    for (op, placement) in &plan.placements {
        let name = graph.op_name(op);
        let node = imported.nodes[op];
        match (&imported.refused[op], placement) {
            (Some(why), _) => log::debug!("operator {node} {name} stays with TFLite: {why}"),
            (None, Placement::Cpu { reason, .. }) => {
                log::debug!("operator {node} {name} stays with TFLite: {reason}");
            }
            (None, _) => {}
        }
    }
    let ops = partition::choose(graph, plan.uses(), &plan.placements);
    log::info!(
        "{} of {} operators and {} of {} multiply-accumulates go to the {} NPU",
        ops.len(),
        nodes.len(),
        ops.iter().map(|&op| graph.macs(op)).sum::<u64>(),
        graph.total_macs(),
        options.target.chip().label,
    );
    let chosen = Chosen {
        imported,
        plan,
        ops,
    };
    Ok((!chosen.ops.is_empty()).then_some(chosen))
}

/// A kernel as the host holds it. Hosts run one interpreter from one thread at a time; the lock is
/// for those that do not.
struct Held {
    process: Process,
    kernel: Mutex<Kernel>,
}

impl Held {
    fn new(kernel: Kernel) -> Held {
        Held {
            process: Process::current(),
            kernel: Mutex::new(kernel),
        }
    }

    /// The kernel; `None` in a forked child if a thread that only the parent has is at work in it.
    fn lock(&self) -> Option<MutexGuard<'_, Kernel>> {
        if self.process.is_current() {
            return Some(self.kernel.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match self.kernel.try_lock() {
            Ok(kernel) => Some(kernel),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

unsafe extern "C" fn init_kernel(
    context: *mut TfLiteContext,
    buffer: *const c_char,
    _length: usize,
) -> *mut c_void {
    let mut made = ptr::null_mut();
    serve(context, TfLiteStatus::Error, |host| {
        // SAFETY: for a delegate's kernel the host passes its parameters.
        let params = unsafe { buffer.cast::<TfLiteDelegateParams>().as_ref() };
        let params = params.ok_or("no partition given")?;
        // SAFETY: the parameters name the delegate being prepared, made by this module.
        let delegate = unsafe { params.delegate.cast::<Delegate>().as_ref() };
        let delegate = delegate.ok_or("no delegate given")?;
        // SAFETY: both arrays belong to the parameters.
        let (nodes, outputs) = unsafe {
            (
                host::ints(params.nodes_to_replace),
                host::ints(params.output_tensors),
            )
        };
        let chosen = delegate.chosen().remove(&host.id());
        let chosen = chosen.filter(|chosen| chosen.nodes().eq(nodes.iter().copied()));
        let kernel = Kernel::new(&delegate.engine, host, nodes, outputs, chosen);
        let kernel = kernel.map_err(words)?;
        made = Box::into_raw(Box::new(Held::new(kernel))).cast();
        Ok(())
    });
    made
}

unsafe extern "C" fn free_kernel(_context: *mut TfLiteContext, buffer: *mut c_void) {
    if buffer.is_null() {
        return;
    }
    // SAFETY: the host gives back what `init_kernel` made, once.
    let kernel = unsafe { Box::from_raw(buffer.cast::<Held>()) };
    if kernel.lock().is_none() {
        // Half of some change may be in place, so nothing of it can be freed.
        std::mem::forget(kernel);
        return;
    }
    // A panic while buffers are freed has nobody to be reported to.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(kernel)));
}

/// Calls `body` with the kernel of `node`.
fn with_kernel(
    context: *mut TfLiteContext,
    node: *mut TfLiteNode,
    body: impl FnOnce(&mut Kernel, &Host<'_>) -> Result<(), String>,
) -> TfLiteStatus {
    serve(context, TfLiteStatus::Error, |host| {
        // SAFETY: the host passes a live node, whose data is what `init_kernel` made, or null.
        let held = unsafe {
            node.as_ref()
                .and_then(|n| n.user_data.cast::<Held>().as_ref())
        };
        let held = held.ok_or("the partition could not be made")?;
        let kernel = held.lock();
        let mut kernel =
            kernel.ok_or_else(|| opened_before_fork("the interpreter", held.process))?;
        body(&mut kernel, host)
    })
}

unsafe extern "C" fn prepare_kernel(
    context: *mut TfLiteContext,
    node: *mut TfLiteNode,
) -> TfLiteStatus {
    with_kernel(context, node, Kernel::prepare)
}

unsafe extern "C" fn invoke_kernel(
    context: *mut TfLiteContext,
    node: *mut TfLiteNode,
) -> TfLiteStatus {
    with_kernel(context, node, Kernel::invoke)
}
