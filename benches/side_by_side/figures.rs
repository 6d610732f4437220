//! What was measured, and how it is told: samples, ratios, the lines of the table.

use std::collections::BTreeMap;

/// What was measured of one thing, in seconds, or in things a second.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }

    /// The smallest one that at least this part of all is not above.
    fn quantile(&self, part: f64) -> f64 {
        let sorted = self.sorted();
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted[rank.clamp(1, sorted.len()) - 1]
    }

    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
        f64::midpoint(sorted[low], sorted[high])
    }

    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    pub fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    /// Each divided by the other's of the same round.
    pub fn per(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }

    /// Each times `factor`.
    pub fn times(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|value| value * factor).collect())
    }

    /// As `12.3 ms (11.0–15.2)`.
    pub fn spread(&self, unit: &str) -> String {
        let [median, min, max] = [self.median(), self.min(), self.max()].map(short);
        format!("{median} {unit} ({min}–{max})")
    }

    /// Of times: as `1.23 ms (1.01–4.56, p99 3.21)`.
    pub fn ms(&self) -> String {
        let ms = self.times(1e3);
        let [median, min, max, p99] = [ms.median(), ms.min(), ms.max(), ms.p99()].map(short);
        format!("{median} ms ({min}–{max}, p99 {p99})")
    }
}

/// Three digits that count.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.01 => format!("{value:.4}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// What a ratio is to be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// For the table alone.
    None,
}

/// Something beside something.
#[derive(Debug)]
pub struct Line<'a> {
    pub row: u8,
    pub what: &'a str,
    pub figure: String,
    pub beside: String,
    /// One for each round, or one of the medians.
    pub ratio: Samples,
    pub target: Target,
}

pub fn print_head() {
    println!("\n| row | what | figure | beside | ratio | target | |");
    println!("|---:|---|---|---|---:|---:|---|");
}

impl Line<'_> {
    pub fn print(&self) {
        let median = self.ratio.median();
        let (target, verdict) = match self.target {
            Target::AtLeast(least) => (format!("≥ {least}"), Some(median >= least)),
            Target::AtMost(most) => (format!("≤ {most}"), Some(median <= most)),
            Target::None => (String::new(), None),
        };
        let verdict = verdict.map_or("", |met| if met { "met" } else { "missed" });
        let ratio = match self.ratio.0.len() {
            1 => short(median),
            _ => self.ratio.spread("").replace("  ", " "),
        };
        println!(
            "| {} | {} | {} | {} | {ratio} | {target} | {verdict} |",
            self.row, self.what, self.figure, self.beside
        );
    }
}

/// A cell that is left out, and why.
pub fn print_missing(row: u8, what: &str, why: &str) {
    println!("| {row} | {what} | – | {why} | – | | |");
}

/// Those who are measured in turns: each once a round, and each round begins with another.
#[derive(Default)]
pub struct Contest<'a> {
    contestants: Vec<Contestant<'a>>,
}

struct Contestant<'a> {
    name: &'static str,
    act: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Contest<'a> {
    pub fn add(&mut self, name: &'static str, act: impl FnMut() -> f64 + 'a) {
        self.contestants.push(Contestant {
            name,
            act: Box::new(act),
        });
    }

    /// The samples of each, by name.
    pub fn run(mut self, rounds: usize) -> BTreeMap<&'static str, Samples> {
        let mut found: BTreeMap<_, Samples> = BTreeMap::new();
        let count = self.contestants.len();
        for round in 0..rounds {
            for turn in 0..count {
                let one = &mut self.contestants[(round + turn) % count];
                let sample = (one.act)();
                found.entry(one.name).or_default().0.push(sample);
            }
        }
        found
    }
}
