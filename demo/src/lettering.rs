//! Small letters made of rectangles.
//!
//! They need no installed font, and the check can paint them exactly as WebRender does.

/// A row of adjacent lit pixels.
pub struct Run {
    pub x: i32,
    pub y: i32,
    pub width: i32,
}

/// Pixels from one letter to the next, at scale 1.
const ADVANCE: i32 = 6;

/// Returns the width of a text in pixels, at scale 1.
pub fn width(text: &str) -> i32 {
    text.chars().count() as i32 * ADVANCE - 1
}

/// Returns the lit pixels of a text, at scale 1 and from its top left corner.
pub fn letters(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    for (letter, left) in text.chars().zip((0..).step_by(ADVANCE as usize)) {
        // These letters reach below the baseline.
        let top = if "gpq".contains(letter) { 2 } else { 0 };
        for (bits, y) in glyph(letter).into_iter().zip(top..) {
            let lit = |x: i32| (0..5).contains(&x) && bits >> (4 - x) & 1 == 1;
            for start in (0..5).filter(|&x| lit(x) && !lit(x - 1)) {
                let width = (start..=5).take_while(|&x| lit(x)).count() as i32;
                runs.push(Run { x: left + start, y, width });
            }
        }
    }
    runs
}

/// Returns seven rows of five pixels, whose leftmost pixel is bit 4. A letter that is not listed is blank.
#[rustfmt::skip]
fn glyph(letter: char) -> [u8; 7] {
    match letter {
        'a' => [0b00000, 0b00000, 0b01110, 0b00001, 0b01111, 0b10001, 0b01111],
        'b' => [0b10000, 0b10000, 0b11110, 0b10001, 0b10001, 0b10001, 0b11110],
        'c' => [0b00000, 0b00000, 0b01111, 0b10000, 0b10000, 0b10000, 0b01111],
        'd' => [0b00001, 0b00001, 0b01111, 0b10001, 0b10001, 0b10001, 0b01111],
        'e' => [0b00000, 0b00000, 0b01110, 0b10001, 0b11111, 0b10000, 0b01110],
        'f' => [0b00110, 0b01000, 0b11110, 0b01000, 0b01000, 0b01000, 0b01000],
        'g' => [0b01111, 0b10001, 0b10001, 0b10001, 0b01111, 0b00001, 0b01110],
        'h' => [0b10000, 0b10000, 0b11110, 0b10001, 0b10001, 0b10001, 0b10001],
        'i' => [0b00100, 0b00000, 0b01100, 0b00100, 0b00100, 0b00100, 0b01110],
        'k' => [0b10000, 0b10000, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010],
        'l' => [0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
        'm' => [0b00000, 0b00000, 0b11010, 0b10101, 0b10101, 0b10101, 0b10101],
        'n' => [0b00000, 0b00000, 0b11110, 0b10001, 0b10001, 0b10001, 0b10001],
        'o' => [0b00000, 0b00000, 0b01110, 0b10001, 0b10001, 0b10001, 0b01110],
        'p' => [0b11110, 0b10001, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000],
        'q' => [0b01111, 0b10001, 0b10001, 0b10001, 0b01111, 0b00001, 0b00001],
        'r' => [0b00000, 0b00000, 0b10110, 0b11001, 0b10000, 0b10000, 0b10000],
        's' => [0b00000, 0b00000, 0b01111, 0b10000, 0b01110, 0b00001, 0b11110],
        't' => [0b01000, 0b01000, 0b11110, 0b01000, 0b01000, 0b01001, 0b00110],
        'u' => [0b00000, 0b00000, 0b10001, 0b10001, 0b10001, 0b10001, 0b01111],
        'w' => [0b00000, 0b00000, 0b10001, 0b10001, 0b10101, 0b10101, 0b01010],
        'x' => [0b00000, 0b00000, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001],
        '8' => [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
        '-' => [0b00000, 0b00000, 0b00000, 0b01110, 0b00000, 0b00000, 0b00000],
        '/' => [0b00001, 0b00010, 0b00010, 0b00100, 0b01000, 0b01000, 0b10000],
        '>' => [0b00000, 0b01000, 0b00100, 0b00010, 0b00100, 0b01000, 0b00000],
        _ => [0; 7],
    }
}
