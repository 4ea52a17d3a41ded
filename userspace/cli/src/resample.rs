//! Resizing with an antialiased triangle filter in fixed point, exactly as Pillow's
//! `resize(size, BILINEAR)` does it: the reference inputs of models are made that way.
//!
//! Each output pixel is a weighted mean of the input pixels under a triangle that is as wide as
//! two output pixels (two input pixels when enlarging). Weights have 22 fraction bits; rows are
//! resized first, rounded to 8 bits, then columns.

/// Fraction bits of the weights: a sum of 8-bit products stays below 2^31.
const PRECISION: u32 = 22;

/// Weights of one output pixel.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// Interleaved 8-bit samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples of a pixel.
    pub channels: usize,
    /// Row by row, `width * height * channels` of them.
    pub samples: Vec<u8>,
}

/// The image in another size.
pub fn resize(image: &Image, width: usize, height: usize) -> Image {
    let rows = if width == image.width {
        image.clone()
    } else {
        resize_rows(image, width)
    };
    if height == rows.height {
        rows
    } else {
        resize_columns(&rows, height)
    }
}

fn resize_rows(image: &Image, width: usize) -> Image {
    let windows = windows(image.width, width);
    let channels = image.channels;
    let mut samples = Vec::with_capacity(width * image.height * channels);
    for row in image.samples.chunks_exact(image.width * channels) {
        for window in &windows {
            for channel in 0..channels {
                let column = row[window.first * channels + channel..]
                    .iter()
                    .step_by(channels);
                samples.push(mean(window, column));
            }
        }
    }
    Image {
        width,
        samples,
        ..*image
    }
}

fn resize_columns(image: &Image, height: usize) -> Image {
    let stride = image.width * image.channels;
    let mut samples = Vec::with_capacity(stride * height);
    for window in windows(image.height, height) {
        for x in 0..stride {
            let column = image.samples[window.first * stride + x..]
                .iter()
                .step_by(stride);
            samples.push(mean(&window, column));
        }
    }
    Image {
        height,
        samples,
        ..*image
    }
}

fn mean<'a>(window: &Window, samples: impl Iterator<Item = &'a u8>) -> u8 {
    let half = 1 << (PRECISION - 1);
    let products = window.weights.iter().zip(samples);
    let sum: i32 = products.fold(half, |sum, (&w, &s)| sum.wrapping_add(w * i32::from(s)));
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Weights for each of `to` output pixels over `from` input pixels.
fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    // The triangle never gets narrower than two input pixels.
    let support = scale.max(1.0);
    (0..to)
        .map(|x| {
            let center = (x as f64 + 0.5) * scale;
            // Truncation after adding a half, at the low end not below the first pixel.
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let triangle = |i: usize| {
                let distance = (i as f64 - center + 0.5) / support;
                (1.0 - distance.abs()).max(0.0)
            };
            let weights: Vec<f64> = (first..end).map(triangle).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |w: &f64| (w / sum * f64::from(1 << PRECISION) + 0.5) as i32;
            Window {
                first,
                weights: weights.iter().map(fixed).collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, samples: &[u8]) -> Image {
        Image {
            width,
            height: samples.len() / width,
            channels: 1,
            samples: samples.to_vec(),
        }
    }

    #[test]
    fn same_size_is_the_same_image() {
        let image = gray(3, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(resize(&image, 3, 2), image);
    }

    #[test]
    fn halving_takes_a_triangle_of_four() {
        // Weights 1/8, 3/8, 3/8, 1/8; at the border the remaining ones, normalised.
        let image = gray(6, &[0, 0, 80, 160, 240, 240]);
        let halved = resize(&image, 3, 1);
        assert_eq!(halved.samples, [(80.0 / 7.0f64).round() as u8, 120, 229]);
    }

    #[test]
    fn enlarging_interpolates() {
        let image = gray(2, &[0, 100]);
        assert_eq!(resize(&image, 4, 1).samples, [0, 25, 75, 100]);
    }

    #[test]
    fn channels_stay_apart() {
        let image = Image {
            width: 2,
            height: 1,
            channels: 3,
            samples: vec![0, 10, 20, 100, 10, 60],
        };
        assert_eq!(resize(&image, 1, 1).samples, [50, 10, 40]);
    }
}
