//! Lines, frames, discs and text in a picture. Places are fractions of its height and width (y, x);
//! what is outside is not drawn.

use super::colours::Colour;
use ferrite_ir::op::Hw;
use font8x8::UnicodeFonts;
use image::{Rgb, RgbImage};

/// Pixels of a letter's side.
const LETTER: usize = 8;
/// Places are no further from the picture, in pixels: networks may give any number.
const FAR: f32 = 1e6;
/// Around a text.
const MARGIN: usize = 2;
/// The colour of letters.
pub(super) const DARK: Colour = [20, 24, 28];

/// A picture to draw in.
pub struct Canvas {
    picture: RgbImage,
    /// Width of lines in pixels, and the factor of letters.
    pen: usize,
}

impl Canvas {
    pub fn new(picture: RgbImage) -> Canvas {
        // Lines and letters grow with the picture.
        let pen = (picture.width().min(picture.height()) as usize / 300).max(1);
        Canvas { picture, pen }
    }

    /// What has been drawn.
    pub fn picture(self) -> RgbImage {
        self.picture
    }

    /// Nearest pixel to a place, x and y.
    fn pixel(&self, [y, x]: [f32; 2]) -> [i64; 2] {
        let (width, height) = self.picture.dimensions();
        let within = |at: f32| at.clamp(-FAR, FAR).round() as i64;
        [(x, width), (y, height)].map(|(at, pixels)| within(at * pixels as f32))
    }

    fn set(&mut self, x: i64, y: i64, colour: Colour) {
        let (width, height) = self.picture.dimensions();
        if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
            && x < width
            && y < height
        {
            self.picture.put_pixel(x, y, Rgb(colour));
        }
    }

    fn fill(&mut self, [left, top]: [i64; 2], [width, height]: [usize; 2], colour: Colour) {
        for y in top..top + height as i64 {
            for x in left..left + width as i64 {
                self.set(x, y, colour);
            }
        }
    }

    /// The frame of a box with these top, left, bottom and right edges, its lines inside of it.
    pub fn frame(&mut self, [top, left, bottom, right]: [f32; 4], colour: Colour) {
        let pen = self.pen + 1;
        let [left, top] = self.pixel([top, left]);
        let [right, bottom] = self.pixel([bottom, right]);
        let width = usize::try_from(right - left).unwrap_or(0).max(pen);
        let height = usize::try_from(bottom - top).unwrap_or(0).max(pen);
        let [inner_right, inner_bottom] = [right - pen as i64, bottom - pen as i64];
        self.fill([left, top], [width, pen], colour);
        self.fill([left, inner_bottom.max(top)], [width, pen], colour);
        self.fill([left, top], [pen, height], colour);
        self.fill([inner_right.max(left), top], [pen, height], colour);
    }

    /// A line between two places.
    pub fn line(&mut self, from: [f32; 2], to: [f32; 2], colour: Colour) {
        let ([x0, y0], [x1, y1]) = (self.pixel(from), self.pixel(to));
        let (width, height) = self.picture.dimensions();
        // Ends far outside would take time and show nothing.
        let steps = (x1 - x0)
            .abs()
            .max((y1 - y0).abs())
            .min(i64::from(width) + i64::from(height));
        let half = self.pen as i64 / 2;
        for step in 0..=steps {
            let along = step as f32 / steps.max(1) as f32;
            let between = |a: i64, b: i64| a + ((b - a) as f32 * along).round() as i64;
            let place = [between(x0, x1) - half, between(y0, y1) - half];
            self.fill(place, [self.pen + 1; 2], colour);
        }
    }

    /// A disc around a place.
    pub fn disc(&mut self, centre: [f32; 2], colour: Colour) {
        let [x, y] = self.pixel(centre);
        let radius = 2 * self.pen as i64 + 1;
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                if dx * dx + dy * dy <= radius * radius {
                    self.set(x + dx, y + dy, colour);
                }
            }
        }
    }

    /// Mixes the picture half and half with a map of colours that is stretched over it.
    pub fn blend(&mut self, map: Hw, colour: impl Fn(usize) -> Option<Colour>) {
        let (width, height) = self.picture.dimensions();
        for (x, y, pixel) in self.picture.enumerate_pixels_mut() {
            let row = y as usize * map.h / height as usize;
            let column = x as usize * map.w / width as usize;
            if let Some(colour) = colour(row * map.w + column) {
                for (sample, paint) in pixel.0.iter_mut().zip(colour) {
                    *sample = u16::midpoint((*sample).into(), paint.into()) as u8;
                }
            }
        }
    }

    /// Dark text on a ground of `colour`, above a place at its left or, at the upper edge, below it.
    /// It is moved to the left as far as it has to be. Letters without a form are shown as `?`.
    pub fn label(&mut self, place: [f32; 2], text: &str, colour: Colour) {
        let [x, y] = self.pixel(place);
        let height = self.line_height();
        self.text([x, if y >= height { y - height } else { y }], text, colour);
    }

    /// The same at the left edge, below `line` lines of text.
    pub fn line_of_text(&mut self, line: usize, text: &str, colour: Colour) {
        self.text([0, line as i64 * self.line_height()], text, colour);
    }

    fn line_height(&self) -> i64 {
        (self.pen * LETTER + 2 * MARGIN) as i64
    }

    fn text(&mut self, [x, y]: [i64; 2], text: &str, colour: Colour) {
        let side = self.pen * LETTER;
        let width = text.chars().count() * side + 2 * MARGIN;
        let x = x.min(i64::from(self.picture.width()) - width as i64).max(0);
        self.fill([x, y], [width, side + 2 * MARGIN], colour);
        let margin = MARGIN as i64;
        for (index, letter) in text.chars().enumerate() {
            let left = x + margin + (index * side) as i64;
            self.letter([left, y + margin], letter);
        }
    }

    fn letter(&mut self, [left, top]: [i64; 2], letter: char) {
        let form = font8x8::BASIC_FONTS
            .get(letter)
            .or_else(|| font8x8::LATIN_FONTS.get(letter))
            .or_else(|| font8x8::BASIC_FONTS.get('?'))
            .unwrap_or_default();
        for (row, bits) in form.into_iter().enumerate() {
            for column in (0..LETTER).filter(|column| bits >> column & 1 == 1) {
                let [dx, dy] = [column, row].map(|place| (place * self.pen) as i64);
                self.fill([left + dx, top + dy], [self.pen; 2], DARK);
            }
        }
    }
}
