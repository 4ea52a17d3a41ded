//! The boxes that SSD networks for square pictures correct: six maps of them, by the rule of the
//! TensorFlow object detection API (`ssd_anchor_generator` with its usual numbers).

/// Centre, height and width of a box: y, x, h, w.
pub type Anchor = [f32; 4];

/// Distance in pixels of neighbouring boxes in the first map.
const STRIDE: usize = 16;
const MAPS: usize = 6;
/// Sizes of the boxes in the first and the last map, as fractions of the picture.
const SIZES: [f32; 2] = [0.2, 0.95];
/// Width over height.
const RATIOS: [f32; 5] = [1.0, 2.0, 0.5, 3.0, 0.3333];

/// Anchors of a picture of `pixels` by `pixels`.
pub fn ssd(pixels: usize) -> Vec<Anchor> {
    let size = |map: usize| match map {
        MAPS => 1.0,
        _ => SIZES[0] + (SIZES[1] - SIZES[0]) * map as f32 / (MAPS - 1) as f32,
    };
    let mut anchors = Vec::new();
    let mut side = pixels.div_ceil(STRIDE);
    for map in 0..MAPS {
        let forms: Vec<(f32, f32)> = match map {
            // A small square one in place of five.
            0 => vec![(0.1, 1.0), (size(0), 2.0), (size(0), 0.5)],
            _ => {
                let forms = RATIOS.iter().map(|&ratio| (size(map), ratio));
                // And a square one between this map's size and the next one's.
                let between = ((size(map) * size(map + 1)).sqrt(), 1.0);
                forms.chain([between]).collect()
            }
        };
        for row in 0..side {
            for column in 0..side {
                let centre = |place: usize| (place as f32 + 0.5) / side as f32;
                anchors.extend(forms.iter().map(|&(size, ratio)| {
                    let root = ratio.sqrt();
                    [centre(row), centre(column), size / root, size * root]
                }));
            }
        }
        side = side.div_ceil(2);
    }
    anchors
}

/// Number of [`ssd`]'s anchors.
pub fn count(pixels: usize) -> usize {
    let mut side = pixels.div_ceil(STRIDE);
    let mut count = 3 * side * side;
    for _ in 1..MAPS {
        side = side.div_ceil(2);
        count += 6 * side * side;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_sizes_have_the_usual_numbers() {
        for (pixels, anchors) in [(300, 1917), (320, 2034)] {
            assert_eq!(count(pixels), anchors);
            assert_eq!(ssd(pixels).len(), anchors);
        }
    }

    /// A published detector carries its anchors as a constant of its last operator.
    #[test]
    fn anchors_are_those_of_the_public_detector() {
        let Some(shared) = ferrite_testing::shared() else {
            return;
        };
        let file = shared.join("models2/ssd_mobilenet_v1_quant_detect.tflite");
        let graph = ferrite_ir::tflite::read(&ferrite_testing::bytes(file)).unwrap();
        let last = graph.op_ids().next_back().unwrap();
        let constant = graph.input(last, 2).unwrap();
        let (scale, zero) = constant.scale_zero_point().unwrap();
        let data = constant.data.as_ref().unwrap();
        let found = ssd(300);
        assert_eq!(data.len(), 4 * found.len());
        for (index, &stored) in data.iter().enumerate() {
            let stored = scale * (f32::from(stored) - zero as f32);
            let own = found[index / 4][index % 4];
            // Half a step of the constant.
            assert!(
                (stored - own).abs() <= 0.51 * scale,
                "{index}: {own} {stored}"
            );
        }
    }
}
