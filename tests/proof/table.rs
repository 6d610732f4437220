//! What came of the rows, as one table.

use std::time::Duration;

use super::program::Called;
use super::rows::{Bugs, Row};

/// What came of one row.
pub struct Proved {
    row: &'static Row,
    repetitions: usize,
    violations: usize,
    /// Which bugs were caught, and by what.
    caught: Vec<(String, String)>,
    /// What is wrong, in words.
    wrong: Vec<String>,
    took: Duration,
}

impl Proved {
    /// A row whose tests could not be run.
    pub fn impossible(row: &'static Row, why: String) -> Proved {
        Proved {
            row,
            repetitions: 0,
            violations: 0,
            caught: Vec::new(),
            wrong: vec![why],
            took: Duration::ZERO,
        }
    }

    /// What its `tests` have told.
    pub fn of(row: &'static Row, tests: usize, called: &Called, took: Duration) -> Proved {
        let mut proved = Proved::impossible(row, String::new());
        proved.wrong.clear();
        proved.took = took;
        let own = format!("holds\t{}\t", row.name);
        if !called.told.iter().any(|line| line.starts_with(&own)) {
            proved.repetitions = tests;
        }
        for line in &called.told {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["holds", of, repetitions, violations] if of == row.name => {
                    proved.repetitions += repetitions.parse::<usize>().unwrap_or(0);
                    proved.violations += violations.parse::<usize>().unwrap_or(1);
                }
                ["caught", of, bug, by] if of == row.name => {
                    proved.caught.push((bug.to_owned(), by.to_owned()));
                }
                _ => {}
            }
        }
        proved.judge(called);
        proved
    }

    fn judge(&mut self, called: &Called) {
        let row = self.row;
        if !called.passed {
            let log = called.log.display();
            self.wrong.push(format!("a test failed, see {log}"));
        }
        if self.repetitions < row.least {
            let words = format!("{} repetitions instead of {}", self.repetitions, row.least);
            self.wrong.push(words);
        }
        let Bugs::Caught(bugs) = row.bugs else { return };
        for bug in bugs {
            if !self.caught.iter().any(|(caught, _)| caught == bug) {
                self.wrong.push(format!("{bug} was not caught"));
            }
        }
    }

    /// Whether it is of this row.
    pub fn is_of(&self, row: &Row) -> bool {
        self.row.name == row.name
    }

    /// It in one line, for who waits.
    pub fn summary(&self) -> String {
        let Row { name, fault, .. } = self.row;
        let (times, seconds) = (self.repetitions, self.took.as_secs());
        let mut words = format!("{name}: {fault}: {times} times in {seconds} s");
        for wrong in &self.wrong {
            words.push_str(&format!("; {wrong}"));
        }
        words
    }

    /// Whether all is as it must be.
    pub fn is_right(&self) -> bool {
        self.wrong.is_empty() && self.violations == 0
    }

    fn bugs(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for (bug, _) in &self.caught {
            let word = format!("`{bug}` caught");
            if !words.contains(&word) {
                words.push(word);
            }
        }
        if let Bugs::None(why) = self.row.bugs {
            words.push(format!("none: {why}"));
        }
        words.join(", ")
    }

    /// Its line of the table, in Markdown.
    fn line(&self) -> String {
        let mut bugs = self.bugs();
        for wrong in &self.wrong {
            bugs.push_str(&format!(" **{wrong}**"));
        }
        format!(
            "| {} | {} | {} | {} | {bugs} | {} s |",
            self.row.name,
            self.row.fault,
            self.repetitions,
            self.violations,
            self.took.as_secs()
        )
    }
}

/// The table of all rows, in Markdown, and below it how each deliberate bug was caught.
pub fn of(all: &[Proved]) -> String {
    let head = "| row | fault | repetitions | violations | deliberate bugs | took |\n|---|---|---|---|---|---|";
    let mut lines = vec![head.to_owned()];
    lines.extend(all.iter().map(Proved::line));
    lines.push(String::new());
    for proved in all {
        for (bug, by) in &proved.caught {
            lines.push(format!("- {} `{bug}`: {by}", proved.row.name));
        }
    }
    lines.join("\n")
}
