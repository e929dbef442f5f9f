//! What a canvas holds: a number that is spread over all pixels, so that a torn, stale or foreign frame shows.

use euclid::default::Size2D;

/// What is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// 24 bits. 0 is a cleared drawing buffer.
    pub number: u32,
    pub size: Size2D<u32>,
    pub opaque: bool,
}

/// The pixels of a picture repeat after so many columns, and after so many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Textures of the fake GPU have one color.
    Uniform = 1,
    Eightfold = 8,
}

impl Picture {
    pub fn cleared(size: Size2D<u32>, opaque: bool) -> Self {
        Self { number: 0, size, opaque }
    }

    /// The bytes of a texture, row after row. Their alpha is not 255, whatever the canvas says.
    pub fn texels(&self, bgra: bool, pattern: Pattern) -> Vec<u8> {
        let rows = Self { opaque: false, ..*self }.rows(bgra, pattern);
        (0..self.size.height as usize).flat_map(|y| &rows[y % rows.len()]).copied().collect()
    }

    /// What these rows show of a canvas of this size and alpha mode. `None` if that is nothing whole.
    pub fn of<'a, R: Iterator<Item = &'a [u8]>>(
        rows: impl Fn() -> R,
        size: Size2D<u32>,
        opaque: bool,
        bgra: bool,
        pattern: Pattern,
    ) -> Option<Self> {
        let Some(first) = rows().next().and_then(<[u8]>::first_chunk::<4>) else {
            return size.is_empty().then_some(Self::cleared(size, opaque));
        };
        let [red, green, blue] =
            if bgra { [first[2], first[1], first[0]] } else { [first[0], first[1], first[2]] };
        let number = u32::from_be_bytes([0, red, green, blue]);
        let (picture, expected) = if number == 0 {
            let picture = Self::cleared(size, first[3] == 255);
            (picture, vec![[0, 0, 0, if picture.opaque { 255 } else { 0 }].repeat(size.width as usize)])
        } else {
            let picture = Self { number, size, opaque };
            (picture, picture.rows(bgra, pattern))
        };
        let mut expected = expected.iter().cycle().map(Vec::as_slice);
        let is_whole =
            rows().count() == size.height as usize && rows().all(|row| Some(row) == expected.next());
        is_whole.then_some(picture)
    }

    /// The first rows; the others repeat them.
    fn rows(&self, bgra: bool, pattern: Pattern) -> Vec<Vec<u8>> {
        let (width, period) = (self.size.width as usize, pattern as usize);
        let strip: Vec<u8> = (0..width + period).flat_map(|x| self.pixel(x % period, bgra)).collect();
        (0..period).map(|y| strip[4 * (3 * y % period)..][..4 * width].to_vec()).collect()
    }

    fn pixel(&self, place: usize, bgra: bool) -> [u8; 4] {
        let [_, red, green, blue] = (self.number ^ ((place as u32 * 0x1f_3b5d) & 0xff_ffff)).to_be_bytes();
        let alpha = if self.opaque { 255 } else { blue ^ 0x5a };
        if bgra { [blue, green, red, alpha] } else { [red, green, blue, alpha] }
    }
}
