//! Running plain loops with the vector instructions of this machine.

/// The best instruction set that this machine has; found out once by `pulp`.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    Portable,
}

impl Level {
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = pulp::x86::V4::try_new() {
                return Level::Avx512(simd);
            }
            if let Some(simd) = pulp::x86::V3::try_new() {
                return Level::Avx2(simd);
            }
        }
        Level::Portable
    }
}

/// Runs `f`, compiled for [`Level::detect`]. `f` and all that it calls should be
/// `#[inline(always)]`: what is not inlined is compiled for the baseline.
#[inline(always)]
pub(crate) fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    match Level::detect() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512(simd) => pulp::Simd::vectorize(simd, Once(f)),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2(simd) => pulp::Simd::vectorize(simd, Once(f)),
        Level::Portable => f(),
    }
}

/// A closure in the form that `pulp` inlines into its dispatch (bare closures it calls).
#[cfg(target_arch = "x86_64")]
pub(crate) struct Once<F>(pub F);

#[cfg(target_arch = "x86_64")]
impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Once<F> {
    type Output = R;
    #[inline(always)]
    fn call(self) -> R {
        (self.0)()
    }
}
