//! Decimal numbers of 34 significant digits, as IEEE 754 decimal128 has them.
//!
//! A mantissa of at most 34 digits in an `i128` and a scale (digits after the point), so that an
//! engine can carry it in Arrow's `Decimal128(38, s)` or as text. What is rounded is rounded half
//! to even.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Most significant digits.
const DIGITS_MAX: u32 = 34;
/// Most digits after the point.
const SCALE_MAX: u32 = 60;

/// A decimal number: `mantissa × 10^-scale`. Equal values may have different scales: compare with
/// `==`, which compares by value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    /// From parts; none if it has more than 34 digits before the point.
    /// Digits beyond the 34th are rounded away.
    pub fn new(mantissa: i128, scale: u32) -> Option<Self> {
        Self::rounded(mantissa < 0, Wide::from(mantissa.unsigned_abs()), i64::from(scale))
    }

    /// The digits without point.
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// How many of the digits stand after the point.
    pub const fn scale(self) -> u32 {
        self.scale
    }

    /// The nearest floating point number.
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// From a floating point number, its shortest decimal text; none if it is not finite or too
    /// large.
    pub fn from_f64(number: f64) -> Option<Self> {
        if number.is_finite() { format!("{number:e}").parse().ok() } else { None }
    }

    /// The whole number towards zero, if it fits.
    pub fn to_i64(self) -> Option<i64> {
        let whole = match 10i128.checked_pow(self.scale) {
            Some(unit) => self.mantissa / unit,
            None => 0,
        };
        i64::try_from(whole).ok()
    }

    /// Sum; none if it is too large.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        // Where widening overflows, the other one is smaller by more than the digits there are.
        let (left, right) = match (self.widened(scale), other.widened(scale)) {
            (Some(left), Some(right)) => (left, right),
            (None, _) => return Some(self),
            (_, None) => return Some(other),
        };
        let (left_negative, right_negative) = (self.mantissa < 0, other.mantissa < 0);
        if left_negative == right_negative {
            return Self::rounded(left_negative, left.add(right), i64::from(scale));
        }
        match left.cmp(&right) {
            Ordering::Less => Self::rounded(right_negative, right.sub(left), i64::from(scale)),
            _ => Self::rounded(left_negative, left.sub(right), i64::from(scale)),
        }
    }

    /// Difference; none if it is too large.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Self { mantissa: -other.mantissa, scale: other.scale })
    }

    /// Product; none if it is too large.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let product = Wide::product(self.mantissa.unsigned_abs(), other.mantissa.unsigned_abs());
        let negative = (self.mantissa < 0) != (other.mantissa < 0);
        Self::rounded(negative, product, i64::from(self.scale) + i64::from(other.scale))
    }

    /// Quotient; none for a division by zero or if it is too large.
    pub fn checked_div(self, other: Self) -> Option<Self> {
        if other.mantissa == 0 {
            return None;
        }
        let divisor = other.mantissa.unsigned_abs();
        let (mut quotient, mut rest) =
            (self.mantissa.unsigned_abs() / divisor, self.mantissa.unsigned_abs() % divisor);
        let mut scale = i64::from(self.scale) - i64::from(other.scale);
        // One digit more than is kept, so that rounding sees it; a remaining rest breaks ties.
        while rest != 0 && digits(quotient) <= DIGITS_MAX && scale < i64::from(SCALE_MAX) {
            rest *= 10;
            quotient = quotient * 10 + rest / divisor;
            rest %= divisor;
            scale += 1;
        }
        let sticky = Wide::from(quotient).times_ten().add(Wide::from(u128::from(rest != 0)));
        let exact = if rest == 0 { Wide::from(quotient) } else { sticky };
        let scale = if rest == 0 { scale } else { scale + 1 };
        Self::rounded((self.mantissa < 0) != (other.mantissa < 0), exact, scale)
    }

    fn widened(self, scale: u32) -> Option<Wide> {
        let mut wide = Wide::from(self.mantissa.unsigned_abs());
        if wide.is_zero() {
            return Some(wide);
        }
        for _ in self.scale..scale {
            wide = wide.checked_times_ten()?;
        }
        Some(wide)
    }

    /// Rounds to 34 digits and a scale within `0..=SCALE_MAX`.
    fn rounded(negative: bool, mut magnitude: Wide, mut scale: i64) -> Option<Self> {
        if magnitude.is_zero() {
            let scale = u32::try_from(scale.clamp(0, i64::from(SCALE_MAX))).ok()?;
            return Some(Self { mantissa: 0, scale });
        }
        let (mut last, mut sticky) = (0, false);
        while magnitude.digits() > DIGITS_MAX || scale > i64::from(SCALE_MAX) {
            sticky |= last != 0;
            (magnitude, last) = magnitude.div_ten();
            scale -= 1;
        }
        let mut low = magnitude.low();
        if last > 5 || last == 5 && (sticky || low % 2 == 1) {
            low += 1;
        }
        while scale < 0 {
            low = low.checked_mul(10).filter(|&low| digits(low) <= DIGITS_MAX)?;
            scale += 1;
        }
        if digits(low) > DIGITS_MAX {
            if scale == 0 {
                return None;
            }
            (low, scale) = (low / 10, scale - 1);
        }
        let mantissa = i128::try_from(low).ok()?;
        let mantissa = if negative { -mantissa } else { mantissa };
        Some(Self { mantissa, scale: u32::try_from(scale).ok()? })
    }

    /// Without zeros at the end of the fraction.
    pub fn normalized(self) -> Self {
        let mut normal = self;
        while normal.scale > 0 && normal.mantissa % 10 == 0 {
            normal = Self { mantissa: normal.mantissa / 10, scale: normal.scale - 1 };
        }
        normal
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self { mantissa: i128::from(number), scale: 0 }
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl std::hash::Hash for Decimal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let normal = self.normalized();
        (normal.mantissa, normal.scale).hash(state);
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.mantissa.signum().cmp(&other.mantissa.signum());
        if signs != Ordering::Equal || self.mantissa == 0 {
            return signs;
        }
        // Where widening overflows, the one with the smaller scale is larger by far.
        let scale = self.scale.max(other.scale);
        let magnitudes = match (self.widened(scale), other.widened(scale)) {
            (Some(left), Some(right)) => left.cmp(&right),
            (None, _) => Ordering::Greater,
            (_, None) => Ordering::Less,
        };
        if self.mantissa < 0 { magnitudes.reverse() } else { magnitudes }
    }
}

/// Reads `-12.50`, `1e-3`.
impl FromStr for Decimal {
    type Err = InvalidDecimal;

    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        let text = text.trim();
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => {
                (number, exponent.parse::<i32>().map_err(|_| InvalidDecimal)?)
            }
            None => (text, 0),
        };
        let (negative, number) = match number.as_bytes().first() {
            Some(b'-') => (true, &number[1..]),
            Some(b'+') => (false, &number[1..]),
            _ => (false, number),
        };
        let (mut magnitude, mut scale, mut seen, mut point) = (Wide::ZERO, 0i64, false, false);
        for byte in number.bytes() {
            match byte {
                b'0'..=b'9' => {
                    seen = true;
                    // Digits beyond what can matter only move the point.
                    if magnitude.digits() < 2 * DIGITS_MAX {
                        magnitude = magnitude.times_ten().add(Wide::from(u128::from(byte - b'0')));
                        scale += i64::from(point);
                    } else if !point {
                        scale -= 1;
                    }
                }
                b'.' if !point => point = true,
                _ => return Err(InvalidDecimal),
            }
        }
        let scale = scale - i64::from(exponent);
        if !seen {
            return Err(InvalidDecimal);
        }
        if scale < -100 && !magnitude.is_zero() {
            return Err(InvalidDecimal);
        }
        if scale > 200 {
            return Ok(Self::default());
        }
        Self::rounded(negative, magnitude, scale).ok_or(InvalidDecimal)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = self.scale as usize;
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

/// The text is no decimal number, or one too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDecimal;

impl fmt::Display for InvalidDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a decimal number of at most 34 digits")
    }
}

impl std::error::Error for InvalidDecimal {}

fn digits(number: u128) -> u32 {
    number.checked_ilog10().map_or(1, |log| log + 1)
}

/// A 256 bit unsigned integer, just enough of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wide {
    high: u128,
    low: u128,
}

impl From<u128> for Wide {
    fn from(low: u128) -> Self {
        Self { high: 0, low }
    }
}

impl Wide {
    const ZERO: Self = Self { high: 0, low: 0 };

    const fn is_zero(self) -> bool {
        self.high == 0 && self.low == 0
    }

    const fn low(self) -> u128 {
        self.low
    }

    fn add(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        Self { high: self.high.wrapping_add(other.high).wrapping_add(u128::from(carry)), low }
    }

    /// `self` must be the larger one.
    fn sub(self, other: Self) -> Self {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        Self { high: self.high.wrapping_sub(other.high).wrapping_sub(u128::from(borrow)), low }
    }

    fn product(left: u128, right: u128) -> Self {
        let half = |number: u128| (number >> 64, number & u128::from(u64::MAX));
        let ((left_high, left_low), (right_high, right_low)) = (half(left), half(right));
        let at =
            |number: u128, shift: u32| Self { high: number >> (128 - shift), low: number << shift };
        let low = Self::from(left_low * right_low);
        let middle = at(left_high * right_low, 64).add(at(left_low * right_high, 64));
        low.add(middle).add(Self { high: left_high * right_high, low: 0 })
    }

    fn checked_times_ten(self) -> Option<Self> {
        if self.high > u128::MAX / 10 - 1 { None } else { Some(self.times_ten()) }
    }

    fn times_ten(self) -> Self {
        let low = Self::product(self.low, 10);
        low.add(Self { high: self.high.wrapping_mul(10), low: 0 })
    }

    /// Quotient and remainder.
    fn div_ten(self) -> (Self, u128) {
        let mut rest = 0u128;
        let mut quotient = [0u128; 4];
        let parts = [self.high >> 64, self.high, self.low >> 64, self.low];
        for (part, digit) in parts.iter().zip(&mut quotient) {
            let current = (rest << 64) | (part & u128::from(u64::MAX));
            *digit = current / 10;
            rest = current % 10;
        }
        let [a, b, c, d] = quotient;
        (Self { high: (a << 64) | b, low: (c << 64) | d }, rest)
    }

    fn digits(self) -> u32 {
        let (mut number, mut count) = (self, 0);
        while number.high != 0 {
            (number, _) = number.div_ten();
            count += 1;
        }
        count + digits(number.low)
    }
}
