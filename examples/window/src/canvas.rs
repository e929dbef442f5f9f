//! The canvases of the window, and what the pointer does with them.
//!
//! A click gives a canvas another color. A canvas is moved by dragging it, and resized by dragging its lower right corner.

use euclid::default::{Point2D, Rect, Size2D, Vector2D};

const COLORS: [[u8; 3]; 4] = [[214, 64, 69], [38, 139, 110], [55, 96, 190], [203, 145, 30]];
/// The side of the corner by which a canvas is resized, in pixels.
const HANDLE: i32 = 20;
const SIDES: std::ops::RangeInclusive<i32> = 40..=1600;
/// Pixels that the pointer may move during a click.
const SLACK: i32 = 3;

/// A canvas. All lengths are in device pixels.
pub struct Canvas {
    pub origin: Point2D<i32>,
    pub size: Size2D<u32>,
    pub is_animated: bool,
    /// Opacity. Below 1 the context is configured with premultiplied alpha.
    pub alpha: f32,
    color: usize,
    /// Whether it must be drawn, because it looks different from what was presented last.
    pub is_stale: bool,
}

impl Canvas {
    pub fn color(&self) -> [u8; 3] {
        COLORS[self.color]
    }

    fn bounds(&self) -> Rect<i32> {
        Rect::new(self.origin, self.size.to_i32())
    }
}

/// All canvases, and what the pointer holds.
pub struct Canvases {
    pub all: Vec<Canvas>,
    /// The order in which they are painted: the last one is in front.
    pub order: Vec<usize>,
    pointer: Point2D<i32>,
    grip: Option<Grip>,
}

struct Grip {
    canvas: usize,
    start: Point2D<i32>,
    origin: Point2D<i32>,
    size: Size2D<i32>,
    resizes: bool,
    is_click: bool,
}

impl Canvases {
    pub fn new() -> Self {
        let canvas = |origin: (i32, i32), size: (u32, u32), color, is_animated, alpha| Canvas {
            origin: origin.into(),
            size: size.into(),
            is_animated,
            alpha,
            color,
            is_stale: true,
        };
        let all = vec![
            canvas((40, 40), (220, 160), 0, false, 1.0),
            canvas((300, 40), (160, 160), 1, false, 1.0),
            canvas((500, 60), (240, 180), 2, true, 1.0),
            canvas((180, 160), (200, 140), 3, false, 0.75),
            canvas((60, 340), (320, 200), 1, true, 0.75),
        ];
        Self { order: (0..all.len()).collect(), all, pointer: Point2D::zero(), grip: None }
    }

    /// Returns whether a canvas has been moved or resized.
    pub fn pointer_moved(&mut self, to: Point2D<i32>) -> bool {
        self.pointer = to;
        let Some(grip) = &mut self.grip else { return false };
        let way: Vector2D<i32> = to - grip.start;
        grip.is_click &= way.x.abs() <= SLACK && way.y.abs() <= SLACK;
        if grip.is_click {
            return false;
        }
        let canvas = &mut self.all[grip.canvas];
        if grip.resizes {
            let side = |length: i32| length.clamp(*SIDES.start(), *SIDES.end()) as u32;
            let size = grip.size + way.to_size();
            canvas.size = Size2D::new(side(size.width), side(size.height));
            canvas.is_stale = true;
        } else {
            canvas.origin = grip.origin + way;
        }
        true
    }

    /// Takes hold of the front canvas under the pointer, and brings it to the front. Returns whether there is one.
    pub fn pressed(&mut self) -> bool {
        let at = self.pointer;
        let hit = self.order.iter().rposition(|&canvas| self.all[canvas].bounds().contains(at));
        let Some(place) = hit else { return false };
        let canvas = self.order.remove(place);
        self.order.push(canvas);
        let bounds = self.all[canvas].bounds();
        let rest = bounds.max() - at;
        self.grip = Some(Grip {
            canvas,
            start: at,
            origin: bounds.origin,
            size: bounds.size,
            resizes: rest.x + rest.y < HANDLE,
            is_click: true,
        });
        true
    }

    /// Lets go. A click changes the color.
    pub fn released(&mut self) {
        if let Some(grip) = self.grip.take()
            && grip.is_click
        {
            let canvas = &mut self.all[grip.canvas];
            canvas.color = (canvas.color + 1) % COLORS.len();
            canvas.is_stale = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drag(canvases: &mut Canvases, from: (i32, i32), to: (i32, i32)) {
        canvases.pointer_moved(from.into());
        canvases.pressed();
        canvases.pointer_moved(to.into());
        canvases.released();
    }

    #[test]
    fn a_click_changes_the_color_and_nothing_else() {
        let mut canvases = Canvases::new();
        canvases.all[0].is_stale = false;
        drag(&mut canvases, (100, 100), (102, 99));
        let Canvas { origin, size, color, is_stale, .. } = canvases.all[0];
        assert_eq!((origin, size), ((40, 40).into(), (220, 160).into()));
        assert!(color == 1 && is_stale);
    }

    #[test]
    fn a_drag_moves_what_is_in_front_without_drawing_it_again() {
        let mut canvases = Canvases::new();
        canvases.all.iter_mut().for_each(|canvas| canvas.is_stale = false);
        drag(&mut canvases, (200, 180), (190, 200));
        assert_eq!(canvases.all[3].origin, (170, 180).into());
        assert_eq!(canvases.order, [0, 1, 2, 4, 3]);
        assert!(canvases.all.iter().all(|canvas| !canvas.is_stale));
    }

    #[test]
    fn a_drag_of_the_corner_resizes_within_bounds() {
        let mut canvases = Canvases::new();
        drag(&mut canvases, (455, 195), (475, 255));
        assert_eq!(canvases.all[1].size, (180, 220).into());
        drag(&mut canvases, (475, 255), (0, 5000));
        assert_eq!(canvases.all[1].size, (40, 1600).into());
        assert_eq!(canvases.all[1].origin, (300, 40).into());
    }

    #[test]
    fn nothing_happens_beside_the_canvases() {
        let mut canvases = Canvases::new();
        canvases.pointer_moved((5, 5).into());
        assert!(!canvases.pressed());
        assert!(!canvases.pointer_moved((100, 100).into()));
    }
}
