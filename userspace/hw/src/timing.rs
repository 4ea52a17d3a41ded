//! What work takes: the constants of the cost model. The compiler decides by them, and the simulators
//! estimate with them, so that a plan is judged by what it was chosen for.
//!
//! None of them was measured by this project. Each has its source; where a source gives a bound, the
//! bound is taken.

use std::num::NonZeroU32;

/// Prices of one chip and of the processor beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// NPU clock in Hz.
    pub clock_hz: f64,
    /// Bytes per second between memory and one core.
    pub core_bandwidth: f64,
    /// Bytes per second between memory and all cores together.
    pub shared_bandwidth: f64,
    /// Seconds for a submission and its interrupt: a kick.
    pub kick: f64,
    /// Seconds for a further task or job of the same kick.
    pub task: f64,
    /// Multiply-accumulates per second of the host's kernels.
    pub host_macs: f64,
    /// Bytes per second that the host's element-wise kernels read and write, and that it converts
    /// between its layout and the device's.
    pub host_bytes: f64,
}

impl Timing {
    /// The same chip with another clock, in MHz. That of its memory does not change with it.
    #[must_use]
    pub fn at(self, clock_mhz: Option<NonZeroU32>) -> Timing {
        let clock_hz = clock_mhz.map_or(self.clock_hz, |mhz| f64::from(mhz.get()) * 1e6);
        Timing { clock_hz, ..self }
    }
}

/// RK3588. One set of constants gives 2.26 ms for the vendor's MobileNetV2 (published: 2.2), 10.1 ms
/// for Mesa's MobileNetV1 (published: 9.8 to 11.2), 13.3 ms for its MobileNetV2 (13.3 to 15) and 7.2 ms
/// for the vendor's ResNet50 (9.1), to which nothing was fitted: the compiler's test `published_times`.
pub const RK3588: Timing = Timing {
    // The highest operating point of vendors' device trees.
    clock_hz: 1e9,
    // Fitted to the vendor's MobileNetV2 on one core.
    core_bandwidth: 10e9,
    // From a published attention kernel on 1, 2 and 3 cores: 1 : 1.9 : 2.35.
    shared_bandwidth: 25e9,
    // Mesa's MobileNetV2 against V1, 21 tasks more in 3 to 4 ms; RK3576: 41 kicks less save 5.4 ms.
    kick: 130e-6,
    // Fitted to the vendor's MobileNetV2, which is one chain.
    task: 4e-6,
    // EfficientNet-Lite0, 407 M multiply-accumulates, in 13.0 ms on an Orange Pi 5 Plus (XNNPACK).
    host_macs: 31e9,
    host_bytes: 1.2e9,
};

/// A311D.
pub const A311D: Timing = Timing {
    clock_hz: 800e6,
    // An assumption: no board has published it.
    core_bandwidth: 8e9,
    shared_bandwidth: 8e9,
    // An assumption: that of the RK3588, whose kernel driver does as much.
    kick: 130e-6,
    // At most: Mesa's MobileNetV2 against V1, 34 jobs and 3.4 MB more in 0.3 ms.
    task: 9e-6,
    // MobileNetV1, 569 M multiply-accumulates, in 93.9 ms on a VIM3 (one thread).
    host_macs: 6.1e9,
    host_bytes: 1.2e9,
};
