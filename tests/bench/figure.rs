//! A figure: many measurements of one thing, printed as one line.

/// Measurements of one thing, all in the same unit.
pub(crate) struct Figure {
    what: String,
    unit: &'static str,
    values: Vec<f64>,
}

impl Figure {
    /// A figure with no measurement yet; `unit` is printed after each number.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str) -> Figure {
        Figure { what: what.into(), unit, values: Vec::new() }
    }

    /// One more measurement, in the figure's unit.
    pub(crate) fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    /// This beside another, round by round: what disturbs a round disturbs both of it.
    pub(crate) fn ratio(&self, other: &Figure, what: impl Into<String>) -> Figure {
        let values = self.values.iter().zip(&other.values).map(|(own, other)| own / other);
        Figure { what: what.into(), unit: "", values: values.collect() }
    }

    /// The middle of the measurements, between the two middle ones when they are even.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let half = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => (sorted[half - 1] + sorted[half]) / 2.0,
            _ => sorted[half],
        }
    }

    /// The measurement that this share of all, in hundredths, does not exceed.
    pub(crate) fn percentile(&self, hundredths: usize) -> f64 {
        let sorted = self.sorted();
        let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// Prints the line; `beside` is what to compare it with.
    pub(crate) fn print(&self, beside: &str) {
        let (median, unit, rounds) = (self.median(), self.unit, self.values.len());
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = format!("{}..{}", short(least), short(most));
        let line = format!(
            "{:<60} median {:>6} {unit:<2}  {range:<14} {rounds:>4} rounds  {beside}",
            self.what,
            short(median),
        );
        println!("{}", line.trim_end());
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// Three digits that count, which is more than any of this is worth.
fn short(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
