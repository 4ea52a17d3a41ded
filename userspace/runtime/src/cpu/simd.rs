//! Runs hot loops compiled for the vector extensions that this machine turns out to have.
//!
//! The loops are plain safe Rust; only the instruction set they are compiled for changes.

#![allow(unsafe_code)]

/// A hot loop. `run` must be `#[inline(always)]`, so that its body takes on the caller's
/// instruction set.
pub trait Loop {
    /// Does the work.
    fn run(self);
}

/// Runs the loop with the widest instruction set available.
#[inline]
pub fn run<L: Loop>(work: L) {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_avx512() {
            // SAFETY: the CPU has every feature that `avx512` is compiled for.
            return unsafe { x86::avx512(work) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has AVX2.
            return unsafe { x86::avx2(work) };
        }
    }
    work.run();
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Loop;

    pub fn has_avx512() -> bool {
        use std::arch::is_x86_feature_detected as has;
        has!("avx2")
            && has!("avx512f")
            && has!("avx512bw")
            && has!("avx512vl")
            && has!("avx512dq")
            && has!("avx512vnni")
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    pub fn avx512<L: Loop>(work: L) {
        work.run();
    }

    #[target_feature(enable = "avx2")]
    pub fn avx2<L: Loop>(work: L) {
        work.run();
    }
}
