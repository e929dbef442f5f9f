//! Words on a picture, in letters of eight by eight pixels.

use font8x8::UnicodeFonts;
use image::{Rgb, RgbImage};

/// Width and height of a letter, in pixels.
pub(crate) const LETTER: u32 = 8;

/// Writes the words with their upper left corner at `x`, `y`. What does not fit into `width` is left out.
pub(crate) fn write(picture: &mut RgbImage, (x, y): (u32, u32), width: u32, words: &str, color: Rgb<u8>) {
    for (letter, x) in words.chars().zip((x..x + width).step_by(LETTER as usize)) {
        let Some(rows) = font8x8::BASIC_FONTS.get(letter) else { continue };
        for (y, row) in (y..).zip(rows) {
            for (x, bit) in (x..).zip(0..LETTER) {
                if let Some(pixel) = picture.get_pixel_mut_checked(x, y)
                    && row & 1 << bit != 0
                {
                    *pixel = color;
                }
            }
        }
    }
}
