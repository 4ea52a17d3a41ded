//! Splits layers whose channels do not all meet into jobs for some of the channels each.
//!
//! The hardware has dense kernels only: a depthwise layer of `n` channels takes coefficients for
//! `n * n` pairs, all but `n` of them in runs of zero points. In `k` jobs it is a `k`th of that.
//! But every job costs time too, so only the splits that save most are made, up to a quarter more
//! jobs than there are layers. (As many as transposing and reshuffling maps on the TP unit would
//! add to a MobileNetV1, which the host and the stride of the NN unit do here.)

use super::chip::{CORES, MAX_RUN_BITS};
use super::program::Layer;
use crate::lowered::Event;

/// Coefficient bytes that one more job has to save.
const WORTHWHILE: usize = 4 << 10;
/// Layers for each of which one more job is made at most.
const LAYERS_A_SPLIT: usize = 4;

/// A layer that can be split.
struct Candidate {
    event: usize,
    layer: usize,
    blocks: usize,
    /// Blocks of a part are a multiple of this: cores then work evenly and write no plane that is
    /// another part's.
    step: usize,
    /// Coefficient bytes of all pairs of blocks that do not meet.
    zeros: usize,
    parts: usize,
}

impl Candidate {
    fn of(event: usize, layer: usize, what: &Layer) -> Option<Candidate> {
        let kernel = &what.kernel;
        let [inputs, outputs] = kernel.block();
        let blocks = kernel.inputs / inputs.max(1);
        let step = (1..=CORES).find(|n| (n * outputs).is_multiple_of(CORES))?;
        let pairs = kernel.inputs * kernel.outputs / blocks.max(1) * (blocks.max(1) - 1);
        let symbols = (pairs * kernel.size * kernel.size) >> MAX_RUN_BITS;
        Some(Candidate {
            event,
            layer,
            blocks,
            step,
            zeros: symbols * (8 + MAX_RUN_BITS as usize) / 8,
            parts: 1,
        })
    }

    /// Coefficient bytes that one more part saves.
    fn gain(&self) -> usize {
        let parts = self.parts + 1;
        if parts * self.step > self.blocks {
            return 0;
        }
        self.zeros / self.parts - self.zeros / parts
    }

    fn apply(&self, layer: &Layer) -> Vec<Layer> {
        let each = self.blocks.div_ceil(self.parts).next_multiple_of(self.step);
        let [inputs, outputs] = layer.kernel.block();
        let [from, to] = [&layer.input, &layer.output].map(|side| side.x * side.y);
        (0..self.blocks)
            .step_by(each)
            .map(|first| {
                let kernel = layer.kernel.part(first..self.blocks.min(first + each));
                let mut part = layer.clone();
                part.input.z = kernel.inputs;
                part.input.offset += first * inputs * from;
                part.output.z = kernel.outputs;
                part.output.offset += first * outputs * to;
                part.kernel = kernel;
                part
            })
            .collect()
    }
}

/// Makes the splits that save most.
pub fn split(events: &mut [Event<Layer>]) {
    let layers = |event: &Event<Layer>| match event {
        Event::Submit(layers) => layers.len(),
        _ => 0,
    };
    let layers: usize = events.iter().map(layers).sum();
    let most = (layers / LAYERS_A_SPLIT).max(1);
    let mut candidates = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let Event::Submit(list) = event else { continue };
        let of = |(layer, what)| Candidate::of(index, layer, what);
        candidates.extend(list.iter().enumerate().filter_map(of));
    }
    for _ in 0..most {
        match candidates.iter_mut().max_by_key(|c| c.gain()) {
            Some(best) if best.gain() >= WORTHWHILE => best.parts += 1,
            _ => break,
        }
    }
    // From the last on, so that the positions of those before stay.
    for candidate in candidates.iter().rev().filter(|c| c.parts > 1) {
        if let Event::Submit(list) = &mut events[candidate.event] {
            let parts = candidate.apply(&list[candidate.layer]);
            list.splice(candidate.layer..=candidate.layer, parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::coefficients::Kernels;
    use super::super::kernels::{Kernel, Order, Placed};
    use super::super::program::{Multiplier, Side};
    use super::*;
    use crate::executable::Evidence;
    use crate::npu::MapId;
    use ferrite_ir::OpId;

    fn depthwise(channels: usize) -> Layer {
        let side = |map| Side {
            map: MapId::from_u32(map),
            offset: 5,
            x: 7,
            y: 3,
            z: channels,
        };
        Layer {
            op: OpId::from_u32(0),
            lowering: "depthwise",
            evidence: Evidence::Silicon,
            input: side(0),
            output: side(1),
            pad: [1, 1],
            border: 0,
            pooled: false,
            kernel: Kernel {
                data: (0..9 * channels).map(|i| i as u8).collect(),
                flip: 0,
                zero: 0,
                order: Order::Depthwise { multiplier: 1 },
                filter: [3, 3],
                dilation: [1, 1],
                size: 3,
                inputs: channels,
                outputs: channels,
                first: [0, 0],
                bias: (0..channels as i32).collect(),
            },
            multiplier: Multiplier {
                mantissa: 0,
                shift: 20,
            },
            out_zero: 0,
            relu: false,
        }
    }

    #[test]
    fn parts_have_every_channel_once_with_its_own_weights() {
        for channels in [64, 250, 1023] {
            let whole = depthwise(channels);
            let mut events = vec![Event::Submit(vec![whole.clone(); 13])];
            split(&mut events);
            let Event::Submit(layers) = &events[0] else {
                unreachable!()
            };
            let splits = layers.len() - 13;
            assert!(
                splits <= 3 && (splits > 0) == (channels > 200),
                "{channels}: {splits}"
            );
            let placed = |layer: &Layer| {
                let (kernel, mut planes) = (layer.kernel.clone(), Vec::new());
                let placed = Placed {
                    kernel: &kernel,
                    plane: 21,
                };
                for output in 0..kernel.outputs {
                    let inputs: Vec<usize> = (0..kernel.inputs)
                        .filter(|&input| placed.meeting(input).contains(&output))
                        .collect();
                    let weights: Vec<_> = (0..9)
                        .map(|tap| placed.weight(output, inputs[0], tap / 3, tap % 3))
                        .collect();
                    let input = layer.input.offset + inputs[0] * 21;
                    let place = layer.output.offset + output * 21;
                    planes.push((place, input, inputs.len(), weights, placed.bias(output)));
                }
                planes
            };
            let expected: Vec<_> = (0..13).flat_map(|_| placed(&whole)).collect();
            let found: Vec<_> = layers.iter().flat_map(placed).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn dense_layers_stay_whole() {
        let mut layer = depthwise(512);
        layer.kernel.order = Order::Dense {
            group_inputs: 512,
            group_outputs: 512,
        };
        let mut events = vec![Event::Submit(vec![layer; 9])];
        split(&mut events);
        let Event::Submit(layers) = &events[0] else {
            unreachable!()
        };
        assert_eq!(layers.len(), 9);
    }
}
