//! How a figure grows with `n`.
//!
//! Two curves are fitted by least squares, each where it is a straight line: the power law
//! `c n^k`, over the logarithms of both sides, and the logarithm `a + b ln n`, over the logarithm
//! of `n`. The one whose predictions are closer stands: it has the smaller sum of squared
//! differences, each relative to the figure. Two figures give an exponent, but cannot tell the
//! curves apart. Figures below 1 count as 1, since a power law knows no zero.

use std::fmt;

/// A fitted curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Growth {
    /// There are fewer than two different sizes.
    Unknown,
    /// It is the same at every size.
    Constant,
    /// `c n^k`.
    Power {
        /// The exponent `k`.
        exponent: f64,
    },
    /// `a + b ln n`, closer than any power of `n`.
    Logarithm {
        /// `b`, for a doubling of `n`.
        per_doubling: f64,
    },
}

/// Returns the curve that fits the points (`n`, figure) best.
#[must_use]
pub fn fit(points: &[(u64, f64)]) -> Growth {
    let points: Vec<(f64, f64)> =
        points.iter().map(|(n, figure)| ((*n).max(1) as f64, figure.max(1.0))).collect();
    let logarithms = |(n, figure): &(f64, f64)| (n.ln(), figure.ln());
    let Some((exponent, offset)) = line(points.iter().map(logarithms)) else {
        return Growth::Unknown;
    };
    if points.iter().all(|(_, figure)| *figure == points[0].1) {
        return Growth::Constant;
    }
    let Some((slope, start)) = line(points.iter().map(|(n, figure)| (n.ln(), *figure))) else {
        return Growth::Unknown;
    };
    let power = miss(&points, |n| (offset + exponent * n.ln()).exp());
    let logarithm = miss(&points, |n| start + slope * n.ln());
    // A falling figure is no growth that a logarithm would excuse.
    if points.len() > 2 && slope > 0.0 && logarithm < power {
        return Growth::Logarithm { per_doubling: slope * std::f64::consts::LN_2 };
    }
    Growth::Power { exponent }
}

/// Returns slope and offset of the line closest to the points; `None` unless two differ in x.
fn line(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<(f64, f64)> {
    let count = points.clone().count() as f64;
    let mean_x = points.clone().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.clone().map(|(_, y)| y).sum::<f64>() / count;
    let spread: f64 = points.clone().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let common: f64 = points.map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    // Not a comparison with zero: of no points at all, the spread is not a number.
    (spread > 0.0).then(|| (common / spread, mean_y - common / spread * mean_x))
}

/// Returns the sum of the squared differences from a curve, relative to the figures.
fn miss(points: &[(f64, f64)], curve: impl Fn(f64) -> f64) -> f64 {
    points.iter().map(|(n, figure)| ((curve(*n) - figure) / figure).powi(2)).sum()
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Constant => f.write_str("constant"),
            Self::Power { exponent } => write!(f, "n^{exponent:.2}"),
            Self::Logarithm { per_doubling } => write!(f, "log n (+{per_doubling:.0} a doubling)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [u64; 4] = [64, 256, 1024, 4096];

    fn points(curve: impl Fn(f64) -> f64) -> Vec<(u64, f64)> {
        SIZES.map(|n| (n, curve(n as f64))).to_vec()
    }

    #[test]
    fn powers_of_n_give_their_exponents() {
        // Exact data of four exponents, each with a factor.
        for exponent in [0.5, 1.0, 1.5, 2.0] {
            let growth = fit(&points(|n| 7.0 * n.powf(exponent)));
            let Growth::Power { exponent: found } = growth else { panic!("{growth:?}") };
            assert!((found - exponent).abs() < 1e-9, "{found} for {exponent}");
        }
    }

    #[test]
    fn a_logarithm_is_told_from_a_power() {
        // Exact data of 20 a doubling, and the same data with a power of a third added.
        let growth = fit(&points(|n| 5.0 + 20.0 * n.log2()));
        let Growth::Logarithm { per_doubling } = growth else { panic!("{growth:?}") };
        assert!((per_doubling - 20.0).abs() < 1e-9, "{per_doubling}");
        assert_eq!(growth.to_string(), "log n (+20 a doubling)");
        let growth = fit(&points(|n| 5.0 * n));
        assert_eq!(growth.to_string(), "n^1.00");
    }

    #[test]
    fn what_does_not_grow_is_not_given_a_curve_of_growth() {
        // The same figure everywhere, figures that fall, and zeros.
        assert_eq!(fit(&points(|_| 529.0)), Growth::Constant);
        assert_eq!(fit(&points(|_| 0.0)), Growth::Constant);
        let Growth::Power { exponent } = fit(&points(|n| 1e6 / n)) else { panic!("no power") };
        assert!((exponent + 1.0).abs() < 1e-9);
    }

    #[test]
    fn too_few_sizes_have_no_growth() {
        // None, one, one size twice; two sizes give an exponent, and never a logarithm.
        assert_eq!(fit(&[]), Growth::Unknown);
        assert_eq!(fit(&[(64, 3.0)]), Growth::Unknown);
        assert_eq!(fit(&[(64, 3.0), (64, 5.0)]), Growth::Unknown);
        let Growth::Power { exponent } = fit(&[(64, 10.0), (128, 20.0)]) else {
            panic!("no power")
        };
        assert!((exponent - 1.0).abs() < 1e-9);
    }
}
