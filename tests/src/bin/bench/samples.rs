//! Figures of the same thing done several times.

use std::fmt;

/// At least one figure, in order of size.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// None without figures.
    pub(crate) fn new(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        (!figures.is_empty()).then_some(Self(figures))
    }

    /// The middle one, or the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let Self(figures) = self;
        let (below, above) = ((figures.len() - 1) / 2, figures.len() / 2);
        f64::midpoint(figures[below], figures[above])
    }

    /// `min / median / max`, with one decimal.
    pub(crate) fn tenths(&self) -> String {
        let Self(figures) = self;
        format!("{:.1} / **{:.1}** / {:.1}", figures[0], self.median(), figures[figures.len() - 1])
    }
}

/// `min / median / max`, without decimals.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(figures) = self;
        write!(f, "{:.0} / **{:.0}** / {:.0}", figures[0], self.median(), figures[figures.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(Samples::new(vec![9.0, 1.0, 4.0]).unwrap().to_string(), "1 / **4** / 9");
        assert_eq!(Samples::new(vec![4.0, 1.0, 2.0, 9.0]).unwrap().to_string(), "1 / **3** / 9");
        assert_eq!(Samples::new(vec![0.5, 0.25]).unwrap().tenths(), "0.2 / **0.4** / 0.5");
        assert_eq!(Samples::new(vec![]), None);
    }
}
