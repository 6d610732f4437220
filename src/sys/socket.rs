//! Unix sockets: the doorbell, and the pair between a daemon and a shim.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag,
    SockType, UnixAddr, bind, connect, listen, recvmsg, sendmsg, shutdown, socket, socketpair,
};

use super::files::set_umask;

/// Listens at `name` in the open folder `dir`, so that a long path is no obstacle; its mode is
/// 0600. The address must be free. Errors: see bind(2).
pub fn listen_in(dir: &File, name: &str) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let address = address(dir, name)?;
    // bind(2) gives the socket every bit that the umask leaves.
    let mask = set_umask(0o177);
    let bound = bind(fd.as_raw_fd(), &address);
    set_umask(mask);
    bound?;
    listen(&fd, Backlog::MAXCONN)?;
    Ok(UnixListener::from(fd))
}

/// Lets nobody in any more: who connects from now on finds that nobody listens. Those who have connected
/// before can still be accepted. Errors: see shutdown(2).
pub fn refuse(listener: &UnixListener) -> io::Result<()> {
    Ok(shutdown(listener.as_raw_fd(), Shutdown::Both)?)
}

/// What came of an attempt to connect.
#[derive(Debug)]
pub enum Connected {
    /// Somebody listens; the stream does not block.
    Yes(UnixStream),
    /// Somebody listens and has so many callers waiting that this one could not queue up.
    Full,
    /// Nobody listens.
    No,
}

/// Connects to `name` in the open folder `dir` without ever blocking. Errors: see connect(2).
pub fn connect_in(dir: &File, name: &str) -> io::Result<Connected> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(fd.as_raw_fd(), &address(dir, name)?) {
        Ok(()) => Ok(Connected::Yes(UnixStream::from(fd))),
        Err(Errno::EAGAIN) => Ok(Connected::Full),
        Err(Errno::ENOENT | Errno::ECONNREFUSED) => Ok(Connected::No),
        Err(errno) => Err(errno.into()),
    }
}

fn address(dir: &File, name: &str) -> io::Result<UnixAddr> {
    let path = format!("/proc/self/fd/{}/{name}", dir.as_fd().as_raw_fd());
    Ok(UnixAddr::new(path.as_str())?)
}

/// Two ends of a connection that keeps the borders of messages.
pub fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        flags,
    )?)
}

/// A message up to this size travels in the socket; a larger one in a memory file beside it, so
/// that sending never blocks: the kernel's default send buffer is 212,992 bytes (socket(7)).
const INLINE_MAX: usize = 64 * 1024;

/// Sends one message without blocking. Errors: the other end is gone, or no memory.
pub fn send_message(socket: impl AsFd, message: &[u8]) -> io::Result<()> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let fd = socket.as_fd().as_raw_fd();
    if message.len() <= INLINE_MAX {
        sendmsg::<()>(fd, &[IoSlice::new(message)], &[], flags, None)?;
        return Ok(());
    }
    let mut memory = File::from(memfd_create("retrier-message", MFdFlags::MFD_CLOEXEC)?);
    memory.write_all(message)?;
    memory.rewind()?;
    let fds = [memory.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(fd, &[IoSlice::new(&[0])], &control, flags, None)?;
    Ok(())
}

/// Room for any message. It is kept between messages, because emptying it takes longer than receiving
/// one; the allocator maps a piece of this size for itself, so that only what messages fill is memory.
pub fn room() -> Vec<u8> {
    vec![0; 4 * INLINE_MAX]
}

/// Receives one message into `room`. `Ok(None)`: the other end is closed. Errors: `WouldBlock` when
/// there is none and `wait` is false; `InvalidData` when it has no room.
pub fn receive_message(
    socket: impl AsFd,
    room: &mut [u8],
    wait: bool,
) -> io::Result<Option<Cow<'_, [u8]>>> {
    let mut control = nix::cmsg_space!([RawFd; 1]);
    let mut flags = MsgFlags::MSG_CMSG_CLOEXEC;
    if !wait {
        flags |= MsgFlags::MSG_DONTWAIT;
    }
    let mut buffers = [IoSliceMut::new(room)];
    let fd = socket.as_fd().as_raw_fd();
    let (count, memory) = loop {
        match recvmsg::<()>(fd, &mut buffers, Some(&mut control), flags) {
            Ok(received) if received.flags.contains(MsgFlags::MSG_TRUNC) => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Ok(received) => break (received.bytes, passed_file(received.cmsgs()?)),
            Err(Errno::EINTR) => {}
            // The other end died with a message of ours unread.
            Err(Errno::ECONNRESET) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    };
    if let Some(mut memory) = memory {
        let mut message = Vec::new();
        memory.read_to_end(&mut message)?;
        return Ok(Some(Cow::Owned(message)));
    }
    Ok((count > 0).then_some(Cow::Borrowed(&room[..count])))
}

fn passed_file(control: impl Iterator<Item = ControlMessageOwned>) -> Option<File> {
    let mut passed = None;
    for message in control {
        if let ControlMessageOwned::ScmRights(fds) = message {
            for fd in fds {
                // SAFETY: the kernel has just made this descriptor for us, and nobody else knows
                // its number.
                passed = Some(unsafe { File::from_raw_fd(fd) });
            }
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_size_arrives_whole_and_the_end_is_seen() {
        let (left, right) = message_pair().unwrap();
        let mut room = room();
        for size in [1, INLINE_MAX, INLINE_MAX + 1, 3_000_000] {
            let message = vec![b'x'; size];
            send_message(&left, &message).unwrap();
            let received = receive_message(&right, &mut room, true).unwrap();
            assert_eq!(received.as_deref(), Some(&message[..]));
        }
        let error = receive_message(&right, &mut room, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(left);
        assert_eq!(receive_message(&right, &mut room, true).unwrap(), None);
        assert!(send_message(&right, b"x").is_err());
    }

    #[test]
    fn a_message_that_has_no_room_is_never_cut() {
        let (left, right) = message_pair().unwrap();
        send_message(&left, b"two").unwrap();
        send_message(&left, b"one").unwrap();
        let mut room = [0; 2];
        let error = receive_message(&right, &mut room, true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let mut room = [0; 3];
        let next = receive_message(&right, &mut room, true).unwrap();
        assert_eq!(next.as_deref(), Some(&b"one"[..]));
    }
}
