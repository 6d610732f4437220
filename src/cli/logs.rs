//! `retrier logs`: what a run's command wrote.

use anyhow::bail;

use crate::model::AttemptNumber;
use crate::store::Stream;

use super::args::LogsArgs;
use super::client::Client;
use super::failure::code;
use super::out;
use super::progress::TICK;
use super::tail::Tail;
use super::waiting::{Waiting, Woken};

/// Prints the output of one attempt, or follows the run until it ends.
pub fn logs(client: &Client, args: &LogsArgs) -> anyhow::Result<u8> {
    let store = client.holding(args.id)?;
    let run = store.read().run(args.id)?;
    let streams: &[(Stream, Stream)] = match (args.stdout, args.stderr) {
        (true, _) => &[(Stream::Stdout, Stream::Stdout)],
        (false, true) => &[(Stream::Stderr, Stream::Stdout)],
        (false, false) => &[
            (Stream::Stdout, Stream::Stdout),
            (Stream::Stderr, Stream::Stderr),
        ],
    };
    if args.follow {
        let tail = Tail::new(&client.folder, args.id, run.attempts, streams);
        return follow(client, args, tail);
    }
    let number = args.attempt.unwrap_or(run.attempts);
    if number > run.attempts {
        bail!(
            "run {} has {} attempts, not {number}",
            args.id,
            run.attempts
        );
    }
    for (stream, to) in streams {
        let path = client
            .folder
            .output(args.id, AttemptNumber(number), *stream);
        match to {
            Stream::Stdout => out::file_to_stdout(&path)?,
            Stream::Stderr => out::file_to_stderr(&path)?,
        };
    }
    Ok(code::DONE)
}

fn follow(client: &Client, args: &LogsArgs, mut tail: Tail) -> anyhow::Result<u8> {
    let store = client.holding(args.id)?;
    let mut waiting = Waiting::new(client, None, false)?;
    if !store.read().run(args.id)?.state.is_final() && !client.is_served() {
        out::note("no daemon runs, `retrier daemon --detach` starts one");
    }
    loop {
        let woken = waiting.next(&store, &[args.id], Some(TICK))?;
        tail.pump(store.read().run(args.id)?.attempts)?;
        match woken {
            Woken::Tick => {}
            Woken::Ended(_) | Woken::TimedOut => return Ok(code::DONE),
            Woken::Signal(signal) => {
                return Ok(u8::try_from(128 + signal).unwrap_or(code::FAILED));
            }
        }
    }
}
