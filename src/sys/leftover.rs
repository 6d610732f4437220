//! What is left of an attempt whose shim is gone: by what it is told from everything else.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::failpoint::has_bug;
use super::files::{FileIdentity, file_identity};
use super::identity::ProcessIdentity;
use super::process::Found;

/// By what the processes of an attempt are known whose shim is gone.
#[derive(Clone, Copy, Debug)]
pub struct Traces<'a> {
    /// The process that led their session.
    pub leader: &'a ProcessIdentity,
    /// The file whose lock they inherit, if it is still there.
    pub file: Option<&'a File>,
    /// The group in which the first of them was started, if that is known.
    pub group: Option<i32>,
    /// The files to which all of them may still write.
    pub outputs: &'a [PathBuf],
    /// The variables, with their values, that all of them inherit.
    pub marks: &'a [Vec<u8>],
}

/// The `seen` processes of an attempt: those that hold its lock or bear its marks, those that may
/// write to its outputs, and those of its session. Who has opened the lock's file by himself, a backup or `tail -f`, is a bystander; so is
/// everything older than the leader.
///
/// A session keeps its leader's number from being given away, so one member that is surely of the
/// attempt answers for all. Without one the number may have been given away meanwhile, to a process
/// that is gone too, and what bears it is a stranger's.
pub fn left_of(seen: &[Found], traces: &Traces<'_>) -> io::Result<Vec<Found>> {
    let leader = traces.leader;
    let wanted = traces.file.map(File::metadata).transpose()?;
    let held = Held {
        lock: wanted.map(|wanted| (wanted.dev(), wanted.ino())),
        outputs: traces
            .outputs
            .iter()
            .filter_map(|path| file_identity(path))
            .collect(),
    };
    let own = std::process::id() as i32;
    let reused = |one: &Found| one.pid == leader.pid && one.stat.start != leader.start;
    let trusting = has_bug("trusts_bare_sessions");
    let session = (trusting || !seen.iter().any(reused)).then_some(leader.pid);
    let member = |one: &Found| Some(one.stat.session) == session;
    let possible = seen
        .iter()
        .filter(|one| one.pid != own && one.stat.start >= leader.start && !one.stat.service);
    let (mut left, others): (Vec<Found>, Vec<Found>) = possible.partition(|one| {
        member(one) && Some(one.stat.group) == traces.group
            || holds(one, &held)
            || bears(one, traces.marks) == Some(true)
    });
    let unknown = |one: &Found| member(one) && bears(one, traces.marks).is_none();
    if trusting || left.iter().any(member) || others.iter().any(unknown) {
        left.extend(others.into_iter().filter(member));
    }
    Ok(left)
}

/// The folders below /proc that tell of a process: its own, and where its first thread has ended,
/// and with it what that folder shows, those of its threads.
fn faces(one: &Found) -> Vec<PathBuf> {
    let own = PathBuf::from(format!("/proc/{}", one.pid));
    if !one.stat.headless {
        return vec![own];
    }
    let threads = fs::read_dir(own.join("task")).into_iter().flatten();
    threads.flatten().map(|thread| thread.path()).collect()
}

/// Does this process have all of `marks` in its environment? `None`: that cannot be seen, or it is
/// just being replaced.
fn bears(one: &Found, marks: &[Vec<u8>]) -> Option<bool> {
    let environments = faces(one).into_iter();
    let mut environments = environments.filter_map(|face| fs::read(face.join("environ")).ok());
    let environment = environments.find(|bytes| !bytes.is_empty())?;
    let has = |mark: &Vec<u8>| {
        environment
            .split(|byte| *byte == 0)
            .any(|one| one == &mark[..])
    };
    Some(!marks.is_empty() && marks.iter().all(has))
}

/// What the processes of an attempt have open.
struct Held {
    lock: Option<FileIdentity>,
    outputs: Vec<FileIdentity>,
}

/// Does this process have the lock, or may it write to an output? Who only reads is a bystander.
fn holds(one: &Found, held: &Held) -> bool {
    let faces = faces(one).into_iter();
    faces
        .map(|face| face_holds(&face, held))
        .any(|holds| holds.unwrap_or(false))
}

fn face_holds(face: &Path, held: &Held) -> io::Result<bool> {
    for entry in fs::read_dir(face.join("fd"))? {
        let entry = entry?;
        let target = fs::metadata(entry.path()).map(|target| (target.dev(), target.ino()));
        let Ok(target) = target else { continue };
        let is_lock = held.lock == Some(target);
        if !is_lock && !held.outputs.contains(&target) {
            continue;
        }
        // proc_pid_fdinfo(5): it shows the flags and the locks of this open file description.
        let info = fs::read_to_string(face.join("fdinfo").join(entry.file_name()))?;
        let shows = |line: &str| {
            let flags = line.strip_prefix("flags:").map(str::trim);
            let flags = flags.and_then(|flags| u32::from_str_radix(flags, 8).ok());
            let writes = flags.is_some_and(|flags| flags & 3 != 0);
            is_lock && line.starts_with("lock:") || !is_lock && writes
        };
        if info.lines().any(shows) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::identity::{ProcessStat, World};
    use super::super::process::all;
    use super::*;

    /// A process in a session whose leader has gone; it ends with the test.
    struct Orphan(Found);

    impl Orphan {
        fn new() -> Self {
            let mut leader = Command::new("setsid");
            leader.args(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"]);
            let said = leader.env("RUN", "7").env("ATTEMPT", "2").output().unwrap();
            let pid = String::from_utf8(said.stdout)
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            let stat = ProcessStat::of(pid).unwrap();
            Self(Found { pid, stat })
        }

        /// Whether it counts as left of an attempt whose shim started so much earlier.
        fn is_left(&self, earlier: i64, group: Option<i32>, marks: &[&str]) -> bool {
            let mut leader = World::current().unwrap().identify(self.0.pid).unwrap();
            leader.pid = self.0.stat.session;
            leader.start = leader.start.checked_add_signed(-earlier).unwrap();
            let marks: Vec<_> = marks.iter().map(|mark| mark.as_bytes().to_vec()).collect();
            let traces = Traces {
                leader: &leader,
                file: None,
                group,
                outputs: &[],
                marks: &marks,
            };
            left_of(&all().unwrap(), &traces).unwrap().contains(&self.0)
        }
    }

    impl Drop for Orphan {
        fn drop(&mut self) {
            self.0.kill();
        }
    }

    #[test]
    fn a_strangers_session_with_the_number_of_a_dead_shim_is_not_what_it_left() {
        let orphan = Orphan::new();
        let group = orphan.0.stat.group;
        assert!(orphan.is_left(9, None, &["RUN=7", "ATTEMPT=2"]));
        assert!(orphan.is_left(9, Some(group), &["RUN=8", "ATTEMPT=2"]));
        assert!(!orphan.is_left(9, None, &["RUN=7", "ATTEMPT=3"]));
        assert!(!orphan.is_left(9, Some(group + 1), &["RUN=8", "ATTEMPT=2"]));
        assert!(!orphan.is_left(9, None, &[]));
    }

    #[test]
    fn what_is_older_than_a_shim_was_not_left_by_it() {
        let orphan = Orphan::new();
        assert!(orphan.is_left(0, None, &["RUN=7"]));
        assert!(!orphan.is_left(-1, Some(orphan.0.stat.group), &["RUN=7"]));
    }
}
