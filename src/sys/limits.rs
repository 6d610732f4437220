//! The limits under which a process runs, as `/proc/PID/limits` tells them (proc_pid_limits(5)).

use std::fs;
use std::io;

/// What a process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    text: String,
}

impl Limits {
    /// Those of process `pid`. Errors: there is none, or it is another user's.
    pub fn of(pid: i32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/limits"))?;
        Ok(Self { text })
    }

    /// The soft limit in the line that begins with `name`, such as `Max open files`; `None` when there
    /// is no limit, or no such line.
    pub fn soft(&self, name: &str) -> Option<u64> {
        let line = self.text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_by_its_name_and_none_is_none() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 1048576              files     \n";
        let limits = Limits {
            text: text.to_owned(),
        };
        assert_eq!(limits.soft("Max open files"), Some(1024));
        assert_eq!(limits.soft("Max cpu time"), None);
        assert_eq!(limits.soft("Max something"), None);
    }
}
