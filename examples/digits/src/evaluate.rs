//! Runs a network over all images on one device.

use crate::dataset::Images;
use ferrite_ir::{DType, Graph, Tensor};
use ferrite_runtime::cpu::Value;
use ferrite_runtime::device::Counters;
use ferrite_runtime::session::Session;
use std::error::Error;
use std::time::{Duration, Instant};

/// A classification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The most probable digit.
    pub digit: u8,
    /// Its probability, 0 to 1.
    pub probability: f32,
}

/// What a session made of the images.
pub struct Evaluation {
    /// One for each image.
    pub answers: Vec<Answer>,
    /// For all images.
    pub elapsed: Duration,
    /// The device's counts of the first image, if it counts.
    pub counters: Option<Counters>,
}

impl Evaluation {
    /// Number of right answers.
    pub fn correct(&self, labels: &[u8]) -> usize {
        let pairs = self.answers.iter().zip(labels);
        pairs.filter(|(a, label)| a.digit == **label).count()
    }

    /// Time of one image.
    pub fn per_image(&self) -> Duration {
        self.elapsed / self.answers.len().max(1) as u32
    }
}

/// Classifies every image.
pub fn evaluate(session: &mut Session, images: &Images) -> Result<Evaluation, Box<dyn Error>> {
    let graph = session.graph();
    let input = Quantised::of(graph, graph.tensor(graph.inputs[0]))?;
    let output = Quantised::of(graph, graph.tensor(graph.outputs[0]))?;
    let inputs = (0..images.len())
        .map(|i| input.image(images.pixels(i)))
        .collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let mut answers = Vec::with_capacity(inputs.len());
    let mut counters = None;
    for image in inputs {
        let results = session.run(&[image])?;
        answers.push(output.answer(results[0].bytes()));
        counters = counters.or_else(|| session.counters());
    }
    Ok(Evaluation {
        answers,
        elapsed: start.elapsed(),
        counters,
    })
}

/// An int8 tensor's scale, zero point and shape.
struct Quantised {
    scale: f32,
    zero_point: i32,
    shape: Vec<usize>,
}

impl Quantised {
    fn of(graph: &Graph, tensor: &Tensor) -> Result<Self, String> {
        match &tensor.quant {
            Some(quant) if tensor.dtype == DType::I8 && quant.is_per_tensor() => Ok(Quantised {
                scale: quant.scales[0],
                zero_point: quant.zero_points[0],
                shape: tensor.shape.to_vec(),
            }),
            _ => Err(format!("`{}` of `{}` is not int8", tensor.name, graph.name)),
        }
    }

    /// The network was trained on grey levels from 0 to 1.
    fn image(&self, pixels: &[u8]) -> Result<Value, Box<dyn Error>> {
        let quantise = |&pixel: &u8| {
            let steps = (f32::from(pixel) / 255.0 / self.scale).round_ties_even();
            (steps as i32 + self.zero_point).clamp(-128, 127) as i8
        };
        let elements: Vec<i8> = pixels.iter().map(quantise).collect();
        Ok(Value::from_slice(self.shape.clone(), &elements)?)
    }

    /// The first of the most probable classes, as NumPy's argmax has it.
    fn answer(&self, scores: &[u8]) -> Answer {
        let score = |class: usize| i32::from(scores[class] as i8);
        let best = (0..scores.len())
            .rev()
            .max_by_key(|&class| score(class))
            .unwrap_or(0);
        Answer {
            digit: best as u8,
            probability: (score(best) - self.zero_point) as f32 * self.scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn softmax() -> Quantised {
        Quantised {
            scale: 1.0 / 256.0,
            zero_point: -128,
            shape: vec![1, 3],
        }
    }

    #[test]
    fn the_first_of_equals_is_the_answer() {
        let answer = softmax().answer(&[(-100i8) as u8, 0, 0]);
        assert_eq!(
            answer,
            Answer {
                digit: 1,
                probability: 0.5
            }
        );
    }

    #[test]
    fn pixels_are_scaled_to_the_input() {
        let input = Quantised {
            scale: 1.0 / 255.0,
            zero_point: -128,
            shape: vec![1, 3],
        };
        let value = input.image(&[0, 128, 255]).unwrap();
        assert_eq!(value.bytes(), [0x80, 0, 0x7f]);
    }
}
