//! Pictures as input tensors: decoded, resized without cropping, brought to the tensor's type; and
//! input tensors as pictures.

use crate::error::CliError;
use crate::resample::{Image, resize};
use crate::table::shape;
use ferrite_ir::{DType, Tensor};
use ferrite_runtime::cpu::Value;
use image::RgbImage;
use std::path::Path;

/// Reads a picture file.
pub fn read(path: &Path) -> Result<RgbImage, CliError> {
    let bytes = std::fs::read(path).map_err(CliError::io(path))?;
    // By content, not by name.
    let decoded = image::load_from_memory(&bytes).map_err(|e| CliError::wrong(path, e))?;
    Ok(decoded.into_rgb8())
}

/// A picture as the value of `tensor`, which must be one NHWC image of one or three channels. A float
/// tensor gets black and white as `range` says.
pub fn to_value(picture: &RgbImage, tensor: &Tensor, range: (f32, f32)) -> Result<Value, CliError> {
    let &[1, height, width, channels @ (1 | 3)] = &tensor.shape[..] else {
        return Err(CliError::Misuse(format!(
            "a picture does not fit input `{}` of shape {}: give the tensor with --input",
            tensor.name,
            shape(&tensor.shape)
        )));
    };
    let picture = resize(&samples(picture, channels), width, height);
    let bytes = to_type(&picture.samples, tensor, range)?;
    Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &bytes)
        .map_err(|e| CliError::Misuse(format!("input `{}`: {e}", tensor.name)))
}

/// The picture that a network has been given as a tensor. Real numbers are stretched so that the
/// smallest is black and the largest white.
pub fn from_value(value: &Value) -> Option<RgbImage> {
    let &[1, height, width, channels @ (1 | 3)] = value.shape() else {
        return None;
    };
    let bytes: Vec<u8> = match value.dtype() {
        DType::U8 => value.bytes().to_vec(),
        DType::I8 => value.bytes().iter().map(|s| s ^ 0x80).collect(),
        DType::F32 => {
            let reals = value.view::<f32>().ok()?;
            let (low, high) = reals
                .iter()
                .fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
            let factor = 255.0 / (high - low).max(f32::MIN_POSITIVE);
            reals
                .iter()
                .map(|v| ((v - low) * factor).round() as u8)
                .collect()
        }
        _ => return None,
    };
    let rgb = match channels {
        1 => bytes.iter().flat_map(|&s| [s; 3]).collect(),
        _ => bytes,
    };
    RgbImage::from_raw(width.try_into().ok()?, height.try_into().ok()?, rgb)
}

fn samples(rgb: &RgbImage, channels: usize) -> Image {
    Image {
        width: rgb.width() as usize,
        height: rgb.height() as usize,
        channels,
        samples: match channels {
            1 => gray(rgb.as_raw()),
            _ => rgb.as_raw().clone(),
        },
    }
}

/// Luma of ITU-R 601 in 16-bit fixed point, as Pillow converts to `L`.
fn gray(rgb: &[u8]) -> Vec<u8> {
    let luma = |p: &[u8; 3]| {
        let [r, g, b] = p.map(u32::from);
        ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8
    };
    rgb.as_chunks::<3>().0.iter().map(luma).collect()
}

fn to_type(samples: &[u8], tensor: &Tensor, range: (f32, f32)) -> Result<Vec<u8>, CliError> {
    let (black, white) = range;
    Ok(match tensor.dtype {
        DType::U8 => samples.to_vec(),
        // Black is the lowest value, white the highest, as in the uint8 form of the same model.
        DType::I8 => samples.iter().map(|s| s ^ 0x80).collect(),
        DType::F32 => {
            let real = |&s: &u8| black + (white - black) * f32::from(s) / 255.0;
            samples.iter().flat_map(|s| real(s).to_le_bytes()).collect()
        }
        other => {
            return Err(CliError::Misuse(format!(
                "a picture cannot become input `{}` of type {other:?}: give the tensor with --input",
                tensor.name
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_ir::Quant;

    fn load(path: &Path, tensor: &Tensor, range: (f32, f32)) -> Result<Value, CliError> {
        to_value(&read(path)?, tensor, range)
    }

    fn tensor(dtype: DType, shape: &[usize]) -> Tensor {
        Tensor {
            name: "image".to_owned(),
            shape: shape.into(),
            dtype,
            quant: Some(Quant::per_tensor(1.0, 0)),
            data: None,
            variable: false,
        }
    }

    /// A picture of two pixels, black and `colour`.
    fn file(extension: &str, colour: [u8; 3]) -> tempfile::TempPath {
        let path = tempfile::Builder::new()
            .suffix(extension)
            .tempfile()
            .unwrap()
            .into_temp_path();
        let mut picture = image::RgbImage::new(2, 1);
        picture.put_pixel(1, 0, image::Rgb(colour));
        picture.save(&path).unwrap();
        path
    }

    #[test]
    fn lossless_formats_give_their_pixels() {
        for extension in [".png", ".bmp"] {
            let path = file(extension, [255, 0, 9]);
            let rgb = load(&path, &tensor(DType::U8, &[1, 1, 2, 3]), (0.0, 1.0)).unwrap();
            assert_eq!(rgb.bytes(), [0, 0, 0, 255, 0, 9]);
            let gray = load(&path, &tensor(DType::I8, &[1, 1, 2, 1]), (0.0, 1.0)).unwrap();
            assert_eq!(gray.view::<i8>().unwrap(), [-128, -51]);
            let float = load(&path, &tensor(DType::F32, &[1, 1, 2, 3]), (-1.0, 1.0)).unwrap();
            assert_eq!(float.view::<f32>().unwrap()[..4], [-1.0, -1.0, -1.0, 1.0]);
            let picture = read(&path).unwrap();
            for value in [rgb, float] {
                assert_eq!(from_value(&value), Some(picture.clone()));
            }
            let gray = from_value(&gray).unwrap();
            assert_eq!(gray.as_raw()[..], [0, 0, 0, 77, 77, 77]);
        }
    }

    #[test]
    fn jpeg_is_close() {
        let path = file(".jpg", [200, 200, 200]);
        let rgb = load(&path, &tensor(DType::U8, &[1, 1, 2, 3]), (0.0, 1.0)).unwrap();
        assert!(rgb.bytes()[5].abs_diff(200) < 8, "{:?}", rgb.bytes());
    }

    #[test]
    fn other_inputs_are_refused() {
        let path = file(".png", [1, 2, 3]);
        for (dtype, shape) in [(DType::U8, &[1, 4, 4, 2][..]), (DType::I32, &[1, 1, 2, 3])] {
            let error = load(&path, &tensor(dtype, shape), (0.0, 1.0)).unwrap_err();
            assert_eq!(error.code(), 2, "{error}");
        }
        std::fs::write(&path, b"not a picture").unwrap();
        let error = load(&path, &tensor(DType::U8, &[1, 1, 2, 3]), (0.0, 1.0)).unwrap_err();
        assert_eq!(error.code(), 1, "{error}");
    }

    /// The reference inputs were made with Pillow from pictures that are there too.
    #[test]
    fn resizing_is_pillow_s() {
        let Some(shared) = ferrite_testing::shared() else {
            return;
        };
        let mut checked = 0;
        for name in ["cat", "grace_hopper"] {
            for size in [128, 160, 192, 224, 513] {
                let expected =
                    shared.join(format!("models/inputs/{name}_{size}x{size}x3_uint8.npy"));
                if !expected.exists() {
                    continue;
                }
                let picture = shared.join(format!("models/images/{name}.bmp"));
                let tensor = tensor(DType::U8, &[1, size, size, 3]);
                let found = load(&picture, &tensor, (0.0, 1.0)).unwrap();
                let expected = ferrite_testing::npy(expected);
                let differing = found
                    .bytes()
                    .iter()
                    .zip(&expected.data)
                    .filter(|(a, b)| a != b);
                assert_eq!(differing.count(), 0, "{name} {size}");
                checked += 1;
            }
        }
        assert!(checked >= 7, "{checked}");
    }
}
