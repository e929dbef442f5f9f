//! Conversion between sRGB and Display P3: decode to linear light, multiply by a matrix, encode again.
//!
//! Both spaces use the transfer curve of sRGB. It is extended below 0 by point symmetry and above 1 by its
//! own formula, so that colours outside a gamut survive until something clamps them. Powers are computed by
//! polynomials without branches, which the compiler vectorises (it does not vectorise calls of `powf`). The
//! error of a curve is below 10⁻⁶ for values up to 2, which is a 4000th of an 8-bit step, and below 10⁻⁵ of
//! the value beyond.
//!
//! `conversion` calls [`convert`] for one block of pixels at a time. Every function is inlined into it, so
//! that it is compiled for several kinds of processors.

use super::PredefinedColorSpace;
use super::planar::BLOCK;

/// Maps linear light: the rows are the weights of red, green and blue in the new red, green and blue.
type Matrix = [[f32; 3]; 3];

/// Maps linear Display P3 to linear sRGB.
const P3_TO_SRGB: Matrix = [
    [1.224_940_2, -0.224_940_18, 0.0],
    [-0.042_056_955, 1.042_056_9, 0.0],
    [-0.019_637_555, -0.078_636_05, 1.098_273_6],
];

/// Maps linear sRGB to linear Display P3: the inverse of [`P3_TO_SRGB`].
const SRGB_TO_P3: Matrix = [
    [0.822_461_97, 0.177_538_03, 0.0],
    [0.033_194_2, 0.966_805_8, 0.0],
    [0.017_082_632, 0.072_397_44, 0.910_519_96],
];

/// Converts pixels in place from one colour space to another.
///
/// Preconditions: colours are not multiplied by alpha, 1.0 is full intensity, and the three slices have the
/// same length of at most [`BLOCK`].
#[inline(always)]
pub(super) fn convert(
    from: PredefinedColorSpace,
    to: PredefinedColorSpace,
    [red, green, blue]: [&mut [f32]; 3],
) {
    let matrix = match (from, to) {
        (PredefinedColorSpace::DisplayP3, PredefinedColorSpace::Srgb) => &P3_TO_SRGB,
        (PredefinedColorSpace::Srgb, PredefinedColorSpace::DisplayP3) => &SRGB_TO_P3,
        (PredefinedColorSpace::Srgb, PredefinedColorSpace::Srgb)
        | (PredefinedColorSpace::DisplayP3, PredefinedColorSpace::DisplayP3) => return,
    };
    for channel in [&mut *red, &mut *green, &mut *blue] {
        to_linear(channel);
    }
    for ((red, green), blue) in red.iter_mut().zip(&mut *green).zip(&mut *blue) {
        let light = [*red, *green, *blue];
        let mix = |row: &[f32; 3]| row[0] * light[0] + row[1] * light[1] + row[2] * light[2];
        [*red, *green, *blue] = [mix(&matrix[0]), mix(&matrix[1]), mix(&matrix[2])];
    }
    for channel in [red, green, blue] {
        to_encoded(channel);
    }
}

/// Decodes values to linear light.
#[inline(always)]
fn to_linear(values: &mut [f32]) {
    apply_curve(
        values,
        2.4,
        |size| (size + 0.055) * (1.0 / 1.055),
        |size, power| {
            if size <= 0.040_45 { size * (1.0 / 12.92) } else { power }
        },
    );
}

/// Encodes linear light.
#[inline(always)]
fn to_encoded(values: &mut [f32]) {
    apply_curve(
        values,
        1.0 / 2.4,
        |size| size,
        |size, power| {
            if size <= 0.003_130_8 { size * 12.92 } else { 1.055 * power - 0.055 }
        },
    );
}

/// Replaces each value by `join(size, power)`, with the sign of the value: `size` is its absolute value, and
/// `power` is `base(size)` to the power of `y`.
///
/// The work is split into two loops. The steps of one power depend on each other, and in a single loop they
/// are so many that the processor cannot begin enough of the next values meanwhile.
#[inline(always)]
fn apply_curve(values: &mut [f32], y: f32, base: impl Fn(f32) -> f32, join: impl Fn(f32, f32) -> f32) {
    let mut exponents = [0.0; BLOCK];
    for (exponent, value) in exponents.iter_mut().zip(&*values) {
        *exponent = log2_of_power(base(value.abs()), y);
    }
    for (value, exponent) in values.iter_mut().zip(&exponents) {
        *value = join(value.abs(), exp2(*exponent)).copysign(*value);
    }
}

/// Returns the binary logarithm of `x` to the power of `y`. Precondition: `x` is not negative.
///
/// Infinity counts as the largest `f32`, and NaN stays NaN. Zero and subnormal numbers give some finite
/// number: the curves are linear there and ignore it.
#[inline(always)]
fn log2_of_power(x: f32, y: f32) -> f32 {
    let x = if x > f32::MAX { f32::MAX } else { x };
    // `log2` makes a number of NaN. The last term is NaN then, and otherwise 0.
    log2(x) * y + x * 0.0
}

/// Approximates the binary logarithm of a positive normal number. Anything else gives some finite number.
#[inline(always)]
fn log2(x: f32) -> f32 {
    /// The bits of √½. Mantissas are taken from the range of √½ to √2, whose middle, 1, is where the series
    /// is most exact.
    const BEGIN: i32 = 0x3f35_04f3;
    let bits = x.to_bits() as i32;
    let exponent = bits.wrapping_sub(BEGIN) >> 23;
    let mantissa = f32::from_bits(bits.wrapping_sub(exponent << 23) as u32);
    // ln m = 2 artanh s, and artanh s = s + s³/3 + s⁵/5 + …. Because |s| < 0.172, the first omitted term is
    // below 10⁻⁷ of the sum.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0)));
    exponent as f32 + s * series * (2.0 * std::f32::consts::LOG2_E)
}

/// Approximates 2 to the power of `x`, which is clamped to the exponents of normal numbers.
#[inline(always)]
fn exp2(x: f32) -> f32 {
    /// 1.5 · 2²³. An `f32` of this size has no fraction: adding it rounds to an integer, which is left in the
    /// lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-126.0, 127.0);
    let rounded = x + ROUND;
    // The rest of `x` lies between −½ and ½. 2 to that power is eᵗ, whose Taylor series follows. The first
    // omitted term is 10⁻⁷.
    let t = (x - (rounded - ROUND)) * std::f32::consts::LN_2;
    let series = 1.0
        + t * (1.0
            + t * (1.0 / 2.0 + t * (1.0 / 6.0 + t * (1.0 / 24.0 + t * (1.0 / 120.0 + t * (1.0 / 720.0))))));
    series * f32::from_bits((rounded.to_bits() << 23).wrapping_add(1f32.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies a curve to a single value.
    fn one(curve: fn(&mut [f32]), value: f32) -> f32 {
        let mut values = [value];
        curve(&mut values);
        values[0]
    }

    /// Decodes a value with the formula of the sRGB standard, in double precision.
    fn linear(encoded: f64) -> f64 {
        let size = encoded.abs();
        let light = if size <= 0.04045 { size / 12.92 } else { ((size + 0.055) / 1.055).powf(2.4) };
        light * encoded.signum()
    }

    /// Encodes a value with the formula of the sRGB standard, in double precision.
    fn encoded(light: f64) -> f64 {
        let size = light.abs();
        let encoded = if size <= 0.0031308 { size * 12.92 } else { 1.055 * size.powf(1.0 / 2.4) - 0.055 };
        encoded * light.signum()
    }

    /// Yields −2 to 2 in small steps, and sizes from 2⁻¹⁶ to about the largest half float, with either sign.
    fn values() -> impl Iterator<Item = f32> {
        let fine = (-40_000..=40_000).map(|i| i as f32 / 20_000.0);
        fine.chain((-160..160).flat_map(|i| {
            let large = (i as f32 / 10.0).exp2();
            [large, -large]
        }))
    }

    /// Checks the error that the module documents. `of` is the argument of the curve.
    fn assert_close(value: f32, exact: f64, of: f32) {
        let error = (f64::from(value) - exact).abs();
        let bound = if of.abs() <= 2.0 { 1e-6 * exact.abs().max(1.0) } else { 1e-5 * exact.abs() };
        assert!(error <= bound, "{of}: {value} is not {exact}");
    }

    #[test]
    fn the_curves_are_those_of_floating_point_functions() {
        for value in values() {
            assert_close(one(to_linear, value), linear(f64::from(value)), value);
            assert_close(one(to_encoded, value), encoded(f64::from(value)), value);
        }
    }

    #[test]
    fn what_is_no_number_stays_none_and_infinity_is_large() {
        for curve in [to_linear as fn(&mut [f32]), to_encoded] {
            assert!(one(curve, f32::NAN).is_nan());
            assert!(one(curve, f32::INFINITY) > 1e5 && one(curve, f32::NEG_INFINITY) < -1e5);
            assert_eq!((one(curve, 0.0), one(curve, -0.0)), (0.0, 0.0));
        }
    }

    #[test]
    fn the_matrices_undo_each_other_and_keep_white() {
        for (first, second) in [(&P3_TO_SRGB, &SRGB_TO_P3), (&SRGB_TO_P3, &P3_TO_SRGB)] {
            for (i, row) in first.iter().enumerate() {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                let product = |j: usize| -> f32 { row.iter().zip(second).map(|(a, b)| a * b[j]).sum() };
                for (j, one) in [0, 1, 2].map(|j| (j, if i == j { 1.0 } else { 0.0 })) {
                    assert!((product(j) - one).abs() < 1e-6, "{i} {j}");
                }
            }
        }
    }
}
