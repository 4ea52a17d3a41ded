//! Colours of classes.

/// Red, green, blue.
pub type Colour = [u8; 3];

/// Bright enough for dark text, and far from each other.
const COLOURS: [Colour; 12] = [
    [255, 112, 67],
    [102, 187, 106],
    [66, 165, 245],
    [255, 202, 40],
    [171, 130, 255],
    [38, 198, 218],
    [236, 112, 172],
    [156, 204, 101],
    [255, 167, 38],
    [120, 144, 255],
    [77, 208, 165],
    [239, 154, 154],
];

/// The colour of a class.
pub fn colour(class: usize) -> Colour {
    COLOURS[class % COLOURS.len()]
}
