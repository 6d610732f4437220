//! What the kernel says of a process.

use std::fs;

/// A process that lives.
pub struct Process(pub u32);

impl Process {
    fn read(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The processor time that it itself has used; its children are not counted.
    pub fn seconds(&self) -> f64 {
        if let Ok(times) = fs::read_to_string(format!("/proc/{}/schedstat", self.0)) {
            let nanos = times
                .split(' ')
                .next()
                .and_then(|text| text.parse::<f64>().ok());
            return nanos.expect("the first is a number") / 1e9;
        }
        self.ticks() as f64 / 100.0
    }

    /// The same in ticks of the kernel's clock.
    pub fn ticks(&self) -> u64 {
        let stat = self.read("stat");
        // The name may hold anything, also spaces and parentheses.
        let after = stat.rsplit(')').next().expect("there is a name");
        let fields = after.split_whitespace().skip(11).take(2);
        fields
            .map(|ticks| ticks.parse::<u64>().expect("a number"))
            .sum()
    }

    /// A number of `status` or `smaps_rollup`; kilobytes where it is a size. `None`: it is not
    /// there, or not any more.
    pub fn find(&self, file: &str, name: &str) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.0)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// One that must be there.
    pub fn number(&self, file: &str, name: &str) -> u64 {
        let found = self.find(file, name);
        found.unwrap_or_else(|| panic!("{} has no {name}", self.0))
    }

    /// How often it was given a processor, because it woke up or because it was put off.
    pub fn switches(&self) -> u64 {
        let of = |name| self.number("status", name);
        of("voluntary_ctxt_switches:") + of("nonvoluntary_ctxt_switches:")
    }

    pub fn children(&self) -> Vec<Self> {
        let children = self.read(&format!("task/{}/children", self.0));
        let pids = children
            .split_whitespace()
            .map(|pid| pid.parse().expect("a pid"));
        pids.map(Process).collect()
    }
}
