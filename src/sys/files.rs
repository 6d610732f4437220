//! Files and folders that are nobody else's: 0600 and 0700 from the first byte.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;
use nix::sys::stat::{Mode, umask};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, SysconfVar, User, Whence, access, geteuid, lseek, sysconf};

/// What stands at a path where a private file or folder is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// Nothing.
    Absent,
    /// Ours, and no other user may write to it.
    Ours,
    /// Another user's; its uid.
    Foreign(u32),
    /// A symbolic link.
    Link,
    /// Ours, but group or others may write to it.
    Writable,
}

/// Looks at `path` itself, not at what a link points to. Errors: see lstat(2).
pub fn look_at(path: &Path) -> io::Result<Owned> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Owned::Absent),
        other => other?,
    };
    Ok(if found.is_symlink() {
        Owned::Link
    } else if found.uid() != geteuid().as_raw() {
        Owned::Foreign(found.uid())
    } else if found.mode() & 0o022 != 0 {
        Owned::Writable
    } else {
        Owned::Ours
    })
}

/// Looks at the folder that `path` leads to: its owner, and whoever may write to it, can replace
/// what is in it. The superuser's is as good as ours, and so is a sticky one, as /tmp is, where
/// only owners replace. Errors: see stat(2).
pub fn look_at_folder(path: &Path) -> io::Result<Owned> {
    let found = fs::metadata(path)?;
    let open = found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0;
    Ok(match found.uid() {
        uid if uid != 0 && uid != geteuid().as_raw() => Owned::Foreign(uid),
        _ if open => Owned::Writable,
        _ => Owned::Ours,
    })
}

/// How many names the file at `path` itself has. Errors: see lstat(2).
pub fn links(path: &Path) -> io::Result<u64> {
    Ok(fs::symlink_metadata(path)?.nlink())
}

/// How many bytes this process may still write to the filesystem of `path`. Errors: see statvfs(3).
pub fn room(path: &Path) -> io::Result<u64> {
    let found = statvfs(path)?;
    let blocks = if geteuid().is_root() {
        // What others may not use the superuser may, but for what ext4 keeps to itself
        // (ext4_calculate_resv_clusters: a fiftieth, at most 4096 blocks).
        let kept = (found.blocks() / 50).min(4096);
        found.blocks_free().saturating_sub(kept)
    } else {
        found.blocks_available()
    };
    Ok(blocks.saturating_mul(found.fragment_size()))
}

/// What a process may want to do with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Read it.
    Read,
    /// Write to it, or make files in it.
    Write,
}

/// May this process use `path` so? Errors: why not (access(2)).
pub fn may(path: &Path, how: Use) -> io::Result<()> {
    let flags = match how {
        Use::Read => AccessFlags::R_OK,
        Use::Write => AccessFlags::W_OK,
    };
    Ok(access(path, flags)?)
}

/// Is this the error of a disk without room, or of a quota?
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Makes the folder `path` with mode 0700, and its parents if they are missing; one that is there
/// stays as it is. Errors: see mkdir(2).
pub fn make_private_dirs(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates `path`, which must not be there, with mode 0600 whatever the umask, for reading and
/// writing. Errors: see open(2).
pub fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    Ok(with_private_mode(&options, path)?.0)
}

/// Opens `path` for reading and writing, creating it with mode 0600. It is the regular
/// file at that path, never what a link, a pipe or a socket leads to: that is `InvalidInput`.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    Ok(with_private_mode(&options, path)?.0)
}

/// Opens the file that somebody has left at `path` for reading and writing; nobody is waited for, and no
/// link is followed. Errors: see open(2).
pub fn open_left(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    options
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
}

/// Gives the file `from` the name `to` in the same folder. `false`: something stands there, and stays.
/// Errors: see rename(2).
pub fn rename_new(from: &Path, to: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // Not every filesystem can do that; then a second name does it.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        },
        Err(errno) => Err(errno.into()),
    }
}

/// Opens `path` for appending as [`open_private`] does. With `empty`,
/// what it held is dropped.
pub fn append_private(path: &Path, empty: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    let (file, found) = with_private_mode(&options, path)?;
    if empty && found.len() > 0 {
        file.set_len(0)?;
    }
    Ok(file)
}

/// The file, and what it was when it was opened.
fn with_private_mode(options: &OpenOptions, path: &Path) -> io::Result<(File, Metadata)> {
    let mut options = options.clone();
    let file = options.mode(0o600).custom_flags(OF_A_FILE).open(path);
    let file = file.map_err(told)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(unusual());
    }
    // A umask can only have taken bits away; the owner must be able to open it again.
    if found.mode() & 0o600 != 0o600 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok((file, found))
}

/// Opens the regular file at `path` itself for reading. What stands there may be anything that a
/// command has made: nobody is waited for, and no link is followed. Errors: see open(2);
/// `InvalidInput` when it is something else.
pub fn open_regular(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true), path)
}

/// [`open_regular`], for writing to what is there.
pub fn open_regular_to_write(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().write(true), path)
}

fn regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(OF_A_FILE).open(path);
    let file = file.map_err(told)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(unusual())
    }
}

/// No link is followed, nobody waited for, and no terminal taken.
const OF_A_FILE: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;

fn unusual() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// The error in words, where it comes of a link, a socket, a pipe or a device of no driver.
fn told(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP | libc::ENXIO) => unusual(),
        _ => error,
    }
}

/// Reserves `length` bytes of disk for `file` and makes it that long, so that writing there later
/// needs no room. Errors: `StorageFull`; a filesystem that cannot reserve is no error.
pub fn reserve(file: &File, length: i64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(nix::errno::Errno::EOPNOTSUPP) => file.set_len(length.unsigned_abs()),
        other => Ok(other?),
    }
}

/// How long `file` is, and how much of the disk it takes, both in bytes. Errors: see fstat(2).
pub fn extent(file: &File) -> io::Result<(u64, u64)> {
    let found = file.metadata()?;
    // In units of 512 bytes, whatever the filesystem's blocks are (stat(3type)).
    Ok((found.len(), found.blocks().saturating_mul(512)))
}

/// Gives back what `range` of `file` takes of the disk, but for parts of blocks at its ends; what is
/// read there is zeros from then on, and the file stays as long as it is. Errors: see fallocate(2);
/// `Unsupported` when the filesystem cannot.
pub fn punch(file: &File, range: &Range<u64>) -> io::Result<()> {
    let number = |bytes| i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput);
    let (from, length) = (number(range.start)?, number(range.end - range.start)?);
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    Ok(fallocate(file, flags, from, length)?)
}

/// Where in `file` the first bytes that take room on the disk begin, from `at` on; its end when there are
/// none. It moves the place where `file` is read. Errors: see lseek(2).
pub fn next_data(file: &File, at: u64) -> io::Result<u64> {
    let from = i64::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
    match lseek(file, from, Whence::SeekData) {
        Ok(found) => Ok(found.unsigned_abs()),
        Err(nix::errno::Errno::ENXIO) => Ok(file.metadata()?.len()),
        // A filesystem that does not know: everything is data.
        Err(nix::errno::Errno::EINVAL) => Ok(at),
        Err(errno) => Err(errno.into()),
    }
}

/// Puts a file of this content, which everybody may read, in the place of `path` at once, and makes the folders
/// above it. Errors: see open(2); the one that was there stays then.
pub fn replace_public(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_private_dirs(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = folder.join(name);
    remove_if_there(&new)?;
    let mut file = create_private(&new)?;
    let written = file.write_all(content).and_then(|()| {
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.sync_all()?;
        fs::rename(&new, path)
    });
    if written.is_err() {
        let _ = remove_if_there(&new);
    }
    written
}

/// Does the service manager of user `name` run without anybody being logged in?
pub fn is_lingering(name: &str) -> bool {
    Path::new("/var/lib/systemd/linger").join(name).exists()
}

/// Makes the entries of the folder `path` durable. Errors: see fsync(2).
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Which file it is, by device and inode, as long as it is there.
pub type FileIdentity = (u64, u64);

/// The identity of the file at `path` itself; `None` when it cannot be looked at.
pub fn file_identity(path: &Path) -> Option<FileIdentity> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// The identity of an open file. Errors: see fstat(2).
pub fn identity_of(file: &File) -> io::Result<FileIdentity> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}

/// Takes from everybody but the owner what the mode of `path` allows; `Ok` as well when nothing is
/// there.
pub fn hide_from_others(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(found) if found.mode() & 0o077 == 0 => Ok(()),
        Ok(_) => fs::set_permissions(path, fs::Permissions::from_mode(0o600)),
        Err(error) => Err(error),
    }
}

/// Removes `path`; `Ok` as well when nothing is there.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes `path`, where a command may have made anything, also a folder; `Ok` as well when nothing is
/// there.
pub fn remove_with_content(path: &Path) -> io::Result<()> {
    match remove_if_there(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir_all(path),
        other => other,
    }
}

/// Sets this process's umask and gives the one before.
pub fn set_umask(mask: u32) -> u32 {
    umask(Mode::from_bits_truncate(mask)).bits()
}

/// The umask of this process.
pub fn current_umask() -> u32 {
    let mask = set_umask(0o077);
    set_umask(mask);
    mask
}

/// The effective user's number.
pub fn own_uid() -> u32 {
    geteuid().as_raw()
}

/// The effective user's name, home folder and shell from the user database.
pub fn own_user() -> Option<User> {
    User::from_uid(geteuid()).ok().flatten()
}

/// How many bytes arguments and environment of a new program may take together, their pointers
/// included (execve(2)).
pub fn arguments_max() -> usize {
    let limit = sysconf(SysconfVar::ARG_MAX).ok().flatten();
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(128 * 1024)
}
