//! A small disk of its own, for what a full one and a power cut do.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

use super::wait::wait_until;

/// An ext4 filesystem in a file, mounted through a loop device. See [`super::Need::LoopMount`].
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Makes one of so many MiB and mounts it on the folder `at`, which is made. It belongs to a home, which unmounts
    /// it after its last process.
    #[track_caller]
    pub(super) fn mount(image: PathBuf, at: PathBuf, mib: u64) -> Disk {
        let file = File::create(&image).expect("the temp folder can be written");
        file.set_len(mib << 20).expect("a sparse file");
        system(
            "mkfs.ext4",
            ["-q".as_ref(), "-m0".as_ref(), image.as_os_str()],
        );
        fs::create_dir_all(&at).expect("the temp folder can be written");
        let disk = Disk { image, at };
        disk.mount_again();
        disk
    }

    /// A path on it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.at.join(name)
    }

    /// Writes the file `ballast` until not one byte more fits.
    pub fn fill(&self) {
        let path = self.path("ballast");
        let mut ballast = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the ballast can be opened");
        for size in [1 << 16, 1 << 12, 1] {
            while ballast
                .write(&vec![b'.'; size])
                .is_ok_and(|written| written > 0)
            {}
        }
        ballast.sync_all().ok();
    }

    /// Makes room again.
    #[track_caller]
    pub fn free(&self) {
        fs::remove_file(self.path("ballast")).expect("the ballast is there");
        // What is removed is room only once the journal has it.
        let probe = self.path("probe");
        wait_until("there is room", Duration::from_secs(20), || {
            fs::write(&probe, [0; 1 << 16]).is_ok()
        });
        fs::remove_file(probe).expect("it was written");
    }

    /// Cuts the power: from here on nothing reaches the disk, not even the journal (EXT4_IOC_SHUTDOWN with
    /// EXT4_GOING_FLAGS_NOLOGFLUSH, fs/ext4/ioctl.c). Everything on it fails until [`Disk::power_on`].
    #[track_caller]
    pub fn cut_power(&self) {
        const SHUTDOWN: libc::c_ulong = 0x8004_587D;
        let no_log_flush: u32 = 2;
        let root = File::open(&self.at).expect("the disk is mounted");
        // SAFETY: the argument is a pointer to a u32, as this ioctl demands, that outlives the call.
        let result = unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &raw const no_log_flush) };
        Errno::result(result).expect("the disk can be shut down");
    }

    /// Mounts what has survived; no process may hold a file of the disk any more.
    #[track_caller]
    pub fn power_on(&self) {
        // A process that another test starts at this moment has our open files until it executes its program.
        wait_until("nobody uses the disk", Duration::from_secs(20), || {
            let unmounted = tool("umount").arg(&self.at).output();
            unmounted.is_ok_and(|output| output.status.success())
        });
        // A mount namespace that was made meanwhile may keep the old one mounted, and a second mount of the same image
        // would be as dead.
        let copy = self.image.with_extension("copy");
        fs::copy(&self.image, &copy).expect("the temp folder can be written");
        fs::rename(&copy, &self.image).expect("the temp folder can be written");
        self.mount_again();
    }

    /// Mounts it for reading alone, or for writing again.
    #[track_caller]
    pub fn remount(&self, read_only: bool) {
        let how = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        system("mount", ["-o".as_ref(), how.as_ref(), self.at.as_os_str()]);
    }

    #[track_caller]
    fn mount_again(&self) {
        let (image, at) = (self.image.as_os_str(), self.at.as_os_str());
        system("mount", ["-o".as_ref(), "loop".as_ref(), image, at]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that fails may leave a process that still holds a file.
        tool("umount").arg("-l").arg(&self.at).output().ok();
    }
}

#[track_caller]
fn system(program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) {
    let output = tool(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}

/// These programs are where only root's PATH may look.
fn tool(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("env");
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .arg(program);
    command
}
