//! Draws small grey images in the terminal, two pixels to a character cell.

use std::fmt::Write as _;

/// How pixels become characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Half blocks in grey levels, for a terminal.
    Grey,
    /// Half blocks in black and white, for files and pipes.
    Plain,
}

/// A grey image, one byte for a pixel, 0 black.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Pixels in a line.
    pub width: usize,
    /// The pixels, line by line.
    pub pixels: &'a [u8],
}

impl Picture<'_> {
    /// Lines of text, each `width` cells wide; the pixel above and the one below share a cell.
    pub fn lines(&self, style: Style) -> Vec<String> {
        let rows: Vec<&[u8]> = self.pixels.chunks_exact(self.width).collect();
        rows.chunks(2)
            .map(|pair| line(pair[0], pair.get(1).copied(), style))
            .collect()
    }
}

fn line(upper: &[u8], lower: Option<&[u8]>, style: Style) -> String {
    let mut text = String::new();
    for (x, &up) in upper.iter().enumerate() {
        let down = lower.map_or(0, |row| row[x]);
        match style {
            Style::Grey => {
                let _ = write!(text, "\x1b[38;2;{up};{up};{up};48;2;{down};{down};{down}m▀");
            }
            Style::Plain => text.push(match (up >= 128, down >= 128) {
                (false, false) => ' ',
                (true, false) => '▀',
                (false, true) => '▄',
                (true, true) => '█',
            }),
        }
    }
    if style == Style::Grey {
        text.push_str("\x1b[0m");
    }
    text
}

/// Pictures side by side with their captions below, `columns` to a row.
pub fn gallery(pictures: &[(Picture<'_>, String)], columns: usize, style: Style) -> String {
    let mut text = String::new();
    for row in pictures.chunks(columns) {
        let drawn: Vec<Vec<String>> = row.iter().map(|(p, _)| p.lines(style)).collect();
        let height = drawn.iter().map(Vec::len).max().unwrap_or(0);
        for y in 0..height {
            for lines in &drawn {
                let _ = write!(text, "  {}", lines.get(y).map_or("", String::as_str));
            }
            text.push('\n');
        }
        for (picture, caption) in row {
            let _ = write!(text, "  {caption:<width$}", width = picture.width);
        }
        text.push_str("\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pixels_share_a_cell() {
        let picture = Picture {
            width: 4,
            pixels: &[0, 255, 0, 255, 0, 0, 255, 255],
        };
        assert_eq!(picture.lines(Style::Plain), [" ▀▄█"]);
    }

    #[test]
    fn an_odd_last_row_is_drawn_on_black() {
        let picture = Picture {
            width: 1,
            pixels: &[255, 255, 255],
        };
        assert_eq!(picture.lines(Style::Plain), ["█", "▀"]);
    }

    #[test]
    fn captions_stand_below_their_pictures() {
        let picture = Picture {
            width: 4,
            pixels: &[255; 8],
        };
        let text = gallery(
            &[(picture, "a".into()), (picture, "b".into())],
            2,
            Style::Plain,
        );
        assert_eq!(text, "  ████  ████\n  a     b   \n\n");
    }
}
