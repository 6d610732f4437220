//! `retrier logs`: what a run's command wrote.

use std::io::{self, IsTerminal};

use anyhow::bail;

use crate::model::AttemptNumber;
use crate::store::{Store, Stream};

use super::args::LogsArgs;
use super::client::Client;
use super::failure::{Failure, code};
use super::follow::{Follower, ended};
use super::progress::TICK;
use super::status::look;
use super::tail::Tail;
use super::wait::ending;
use super::waiting::{Waiting, Woken};
use super::{many, out};

/// Prints the output of one attempt, or follows the run until it ends.
pub fn logs(client: &Client, args: &LogsArgs) -> anyhow::Result<u8> {
    let (store, id) = many::one(client, &args.run)?;
    let run = store.read().run(id)?;
    let limit = run.policy.max_output;
    let streams: &[(Stream, Stream)] = match (args.stdout, args.stderr) {
        (true, _) => &[(Stream::Stdout, Stream::Stdout)],
        (false, true) => &[(Stream::Stderr, Stream::Stdout)],
        (false, false) => &[
            (Stream::Stdout, Stream::Stdout),
            (Stream::Stderr, Stream::Stderr),
        ],
    };
    if args.follow {
        let tail = Tail::new(&client.folder, (id, limit), run.attempts, streams);
        let follower = Follower {
            id,
            tells: io::stderr().is_terminal(),
            tail: Some(tail.at_last_lines(args.tail)),
            told_to: ended(&run),
        };
        return follow(client, &store, follower);
    }
    let number = args.attempt.unwrap_or(run.attempts);
    if number > run.attempts {
        let message = match run.attempts {
            0 => format!("run {id} has no attempt yet"),
            1 => format!("run {id} has 1 attempt, not {number}"),
            some => format!("run {id} has {some} attempts, not {number}"),
        };
        bail!(
            Failure::new(code::FAILED, message).hint(format!("`retrier status {id}` shows them"))
        );
    }
    for (stream, to) in streams {
        let path = client.folder.output(id, AttemptNumber(number), *stream);
        match to {
            Stream::Stdout => out::file_to_stdout(&path, limit, args.tail)?,
            Stream::Stderr => out::file_to_stderr(&path, limit, args.tail)?,
        };
    }
    Ok(code::DONE)
}

fn follow(client: &Client, store: &Store, mut follower: Follower) -> anyhow::Result<u8> {
    let id = follower.id;
    // While it catches up, which may take long, a signal ends it at once.
    follower.follow(store)?;
    let mut waiting = Waiting::new(client, [id], None, false)?;
    if !store.read().run(id)?.state.is_final() && !client.is_served() {
        out::note("no daemon runs, `retrier daemon --detach` starts one");
    }
    if follower.tells {
        waiting.watch(id);
    }
    loop {
        let woken = waiting.next(store, Some(TICK))?;
        follower.follow(store)?;
        match woken {
            Woken::Tick | Woken::Changed => {}
            Woken::Ended(_) | Woken::TimedOut => {
                if follower.tells {
                    out::note(&ending(&look(store, id)?));
                }
                return Ok(code::DONE);
            }
            Woken::Signal(signal) => {
                return Ok(code::of_signal(signal));
            }
        }
    }
}
