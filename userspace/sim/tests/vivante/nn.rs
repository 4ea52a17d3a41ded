//! Random convolutions against the scalar reference.

use super::common::{Case, npu};
use proptest::prelude::*;

fn case() -> impl Strategy<Value = Case> {
    (
        (1usize..20, 1usize..20, 1usize..15, 1usize..40, 1usize..6),
        (
            any::<bool>(),
            any::<bool>(),
            1usize..6,
            0u32..6,
            any::<bool>(),
        ),
        (
            0u32..0x8000,
            15u32..30,
            any::<[u8; 3]>(),
            any::<u64>(),
            0u32..100,
        ),
    )
        .prop_map(|(size, modes, numbers)| {
            let (width, height, depth, kernels, kernel) = size;
            let (same, double, at_once, run_bits, relu) = modes;
            let (multiplier, shift, zero_points, seed, sparse) = numbers;
            let pad = if same { ((kernel - 1) / 2).min(2) } else { 0 };
            let stride = if double { 2 } else { 1 };
            let mut state = seed | 1;
            let mut random = move || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) as u32
            };
            Case {
                width,
                height,
                depth,
                kernels,
                kernel,
                pad,
                stride,
                // Also pixels whose window is partly or fully outside.
                out: (width.div_ceil(stride), height.div_ceil(stride)),
                at_once,
                run_bits,
                relu,
                multiplier,
                shift,
                zero_points,
                weights: (0..kernels * depth * kernel * kernel)
                    .map(|_| match random() % 100 {
                        n if n < sparse => zero_points[1],
                        _ => random() as u8,
                    })
                    .collect(),
                biases: (0..kernels).map(|_| random() as i32 % 100_000).collect(),
                input: (0..width * height * depth)
                    .map(|_| random() as u8)
                    .collect(),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn convolutions_equal_the_reference(case in case()) {
        prop_assert_eq!(case.run(&npu()), Ok(case.reference()));
    }
}

/// The widest runs cross planes and kernels.
#[test]
fn a_depthwise_kernel_as_a_dense_one() {
    let channels = 40;
    let mut weights = vec![7; channels * channels * 9];
    for channel in 0..channels {
        for tap in 0..9 {
            weights[(channel * channels + channel) * 9 + tap] = (channel * 9 + tap) as u8;
        }
    }
    let case = Case {
        width: 10,
        height: 9,
        depth: channels,
        kernels: channels,
        kernel: 3,
        pad: 1,
        stride: 1,
        out: (10, 9),
        at_once: 3,
        run_bits: 5,
        relu: false,
        multiplier: 0x1234,
        shift: 24,
        zero_points: [128, 7, 3],
        weights,
        biases: (0..channels as i32).map(|i| i * 100 - 2000).collect(),
        input: (0..channels * 90).map(|i| (i * 37 % 251) as u8).collect(),
    };
    assert_eq!(case.run(&npu()), Ok(case.reference()));
}
