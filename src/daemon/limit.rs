//! Telling that `--max-output` cannot save room here, once. Shims find it out for themselves and go on
//! without.

use std::io;

use crate::model::Policy;
use crate::store::Folder;
use crate::sys::failpoint;
use crate::sys::files::{make_private_dirs, open_private, punch, remove_if_there};

use super::cycle::Daemon;

impl Daemon {
    /// An attempt with this policy is started: if it is the first with a limit, looks whether its
    /// filesystem can keep files within one.
    pub(super) fn tell_of_limit(&mut self, policy: &Policy) {
        if policy.max_output.is_none() || self.limit_told {
            return;
        }
        match try_punch(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.limit_told = true;
                let logs = self.folder.logs();
                tracing::warn!(
                    "{}: its filesystem cannot give back a part of a file: --max-output limits \
                     what is shown, and not what the disk holds",
                    logs.display()
                );
            }
            // What is wrong then others tell of.
            tried => self.limit_told = tried.is_ok(),
        }
    }
}

/// Gives back what is not there, of a file where attempts write theirs.
fn try_punch(folder: &Folder) -> io::Result<()> {
    failpoint::reach("output_probe")?;
    let logs = folder.logs();
    make_private_dirs(&logs)?;
    let path = logs.join("probe");
    let punched = open_private(&path).and_then(|file| punch(&file, &(0..1)));
    remove_if_there(&path)?;
    punched
}
