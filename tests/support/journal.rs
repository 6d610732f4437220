//! What commands themselves wrote down: when they started and ended, and whether two attempts of a run overlapped.

use std::fs;
use std::path::{Path, PathBuf};

use super::home::Home;

/// A file into which commands write, and a tripwire beside it.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
}

/// Which end of an attempt an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The attempt began.
    Start,
    /// It came to its end; an attempt that was killed has no such entry.
    End,
}

/// One line of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Start or end.
    pub mark: Mark,
    /// `RETRIER_RUN_ID`.
    pub run: i64,
    /// `RETRIER_ATTEMPT`.
    pub attempt: u32,
    /// The shell's pid.
    pub pid: i32,
    /// Wall time in nanoseconds since 1970, by `date`.
    pub at_ns: i64,
}

impl Journal {
    /// An empty one, in a folder of this home.
    pub fn new(home: &Home) -> Journal {
        let folder = home.path("journal");
        fs::create_dir_all(&folder).expect("the temp folder can be written");
        Journal { folder }
    }

    /// A line for `retrier run --shell` that writes down the start, does `body` in a subshell, writes down the end,
    /// and exits as `body` did.
    ///
    /// From start to end it, and whatever `body` leaves running, holds a lock of its run on descriptor 9.
    /// Who finds the lock held writes that down as a violation. Needs `flock`.
    pub fn line(&self, body: &str) -> String {
        let folder = self.folder.to_str().expect("a temp folder is UTF-8");
        let folder = shlex::try_quote(folder).expect("a path has no NUL");
        format!(
            r#"journal={folder}
who="$RETRIER_RUN_ID $RETRIER_ATTEMPT $$"
exec 9>>"$journal/$RETRIER_RUN_ID.lock"
flock -n 9 || echo "OVERLAP $who" >>"$journal/violations"
echo "S $who $(date +%s%N)" >>"$journal/entries"
( {body}
)
code=$?
echo "E $who $(date +%s%N)" >>"$journal/entries"
exit $code"#
        )
    }

    /// The same for a command that does nothing and succeeds: cheap, with no lock and no times.
    pub fn brief(&self) -> String {
        let file = self.folder.join("entries");
        let file = file.to_str().expect("a temp folder is UTF-8");
        let file = shlex::try_quote(file).expect("a path has no NUL");
        let who = r#""$RETRIER_RUN_ID $RETRIER_ATTEMPT $$""#;
        format!(r#"printf 'S %s 0\nE %s 0\n' {who} {who} >>{file}"#)
    }

    /// Everything written down until now, in the order of writing.
    #[track_caller]
    pub fn entries(&self) -> Vec<Entry> {
        let text = read(&self.folder.join("entries"));
        text.lines()
            .map(|line| entry(line).unwrap_or_else(|| panic!("not an entry: {line:?}")))
            .collect()
    }

    /// The starts of one run's attempts.
    #[track_caller]
    pub fn starts(&self, run: i64) -> Vec<Entry> {
        self.of(run, Mark::Start)
    }

    /// The ends of one run's attempts.
    #[track_caller]
    pub fn ends(&self, run: i64) -> Vec<Entry> {
        self.of(run, Mark::End)
    }

    /// The attempts that began while an earlier one, or something left of it, was alive.
    pub fn violations(&self) -> Vec<String> {
        let text = read(&self.folder.join("violations"));
        text.lines().map(str::to_owned).collect()
    }

    /// Asserts that there were none.
    #[track_caller]
    pub fn assert_no_overlap(&self) {
        let violations = self.violations();
        assert!(
            violations.is_empty(),
            "two attempts at once: {violations:?}"
        );
    }

    #[track_caller]
    fn of(&self, run: i64, mark: Mark) -> Vec<Entry> {
        let entries = self.entries().into_iter();
        entries
            .filter(|entry| entry.run == run && entry.mark == mark)
            .collect()
    }
}

/// A file that nobody has written to yet is empty.
fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn entry(line: &str) -> Option<Entry> {
    let words: Vec<&str> = line.split(' ').collect();
    let [mark, run, attempt, pid, at_ns] = words[..] else {
        return None;
    };
    Some(Entry {
        mark: match mark {
            "S" => Mark::Start,
            "E" => Mark::End,
            _ => return None,
        },
        run: run.parse().ok()?,
        attempt: attempt.parse().ok()?,
        pid: pid.parse().ok()?,
        at_ns: at_ns.parse().ok()?,
    })
}
