//! What kind of filesystem a path lies on: locks and shared memory that reach one machine alone
//! do not keep a second machine out (statfs(2)).

use std::io;
use std::path::Path;

use nix::sys::statfs::statfs;

/// How far a filesystem's locks can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This machine alone has it.
    Local,
    /// Other machines may have it too; its name.
    Network(&'static str),
    /// A program serves it (FUSE), and nobody knows what that makes of locks.
    Unknown,
}

/// Magic numbers of statfs(2) and linux/magic.h.
const NETWORK: [(u32, &str); 15] = [
    (0x0000_6969, "NFS"),
    (0xFE53_4D42, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0x0000_517B, "SMB"),
    (0x00C3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x0BD0_0BD0, "Lustre"),
    (0x7461_636F, "OCFS2"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x786F_4256, "a shared folder of VirtualBox"),
];

const FUSE: u32 = 0x6573_5546;

/// The reach of the filesystem of `path`, which must be there. Errors: see statfs(2).
pub fn reach(path: &Path) -> io::Result<Reach> {
    let kind = match injected() {
        Some(kind) => kind,
        // The type is a 32-bit number in a wider field, sign-extended on some architectures.
        None => statfs(path)?.filesystem_type().0 as u32,
    };
    let network = NETWORK.iter().find(|(number, _)| *number == kind);
    Ok(match network {
        Some((_, name)) => Reach::Network(name),
        None if kind == FUSE => Reach::Unknown,
        None => Reach::Local,
    })
}

#[cfg(not(feature = "failpoints"))]
fn injected() -> Option<u32> {
    None
}

/// The type that a test wants to be seen, in hexadecimal.
#[cfg(feature = "failpoints")]
fn injected() -> Option<u32> {
    let kind = std::env::var("RETRIER_FAKE_FILESYSTEM").ok()?;
    u32::from_str_radix(&kind, 16).ok()
}
