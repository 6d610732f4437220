//! How much room the disk has for what is stored and written, and which runs take most of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::model::Finding;
use crate::store::Folder;
use crate::sys::files::room;

/// Less room, and no attempt is started.
const ROOM_MIN: u64 = 64 << 10;

/// Less room will soon be none.
const ROOM_LOW: u64 = 64 << 20;

/// So many runs are named that take most.
const NAMED_MAX: usize = 3;

const MIB: u64 = 1 << 20;

/// Too little room on the disk of `folder`; none when there is enough, or nobody can tell.
pub(super) fn shortage(folder: &Folder) -> Option<Finding> {
    let database = folder.database();
    let above = database.ancestors().find(|above| above.exists());
    let free = room(above.unwrap_or(Path::new("/"))).ok()?;
    if free >= ROOM_LOW {
        return None;
    }
    let hint = format!(
        "make room: retrier cleanup --older-than 1d; what attempts wrote is in {}{}",
        folder.logs().display(),
        largest(&folder.logs())
    );
    Some(match free {
        ..ROOM_MIN => Finding::error(
            "room",
            "the disk is full: nothing is stored or started",
            hint,
        ),
        free => Finding::warning(
            "room",
            format!("the disk has {} MiB left", free / MIB),
            hint,
        ),
    })
}

/// The runs whose output takes most, in words that follow the folder; nothing when none takes a MiB.
fn largest(logs: &Path) -> String {
    let folders = fs::read_dir(logs).into_iter().flatten().flatten();
    let files =
        folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
    for file in files {
        let name = file.file_name();
        let run = name
            .to_string_lossy()
            .split('.')
            .next()
            .and_then(|id| id.parse().ok());
        if let (Some(run), Ok(found)) = (run, file.metadata()) {
            // st_blocks counts units of 512 bytes, whatever the filesystem has.
            *taken.entry(run).or_default() += found.blocks() * 512;
        }
    }
    let mut taken: Vec<(u64, u64)> = taken
        .into_iter()
        .filter(|(_, bytes)| *bytes >= MIB)
        .collect();
    taken.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let named = taken.iter().take(NAMED_MAX);
    let named: Vec<String> = named
        .map(|(run, bytes)| format!("run {run} ({} MiB)", bytes / MIB))
        .collect();
    match named.is_empty() {
        true => String::new(),
        false => format!(", most of it of {}", named.join(", ")),
    }
}
