//! `retrier logs`: what a run's command wrote.

use anyhow::bail;

use crate::model::{AttemptNumber, RunId};
use crate::store::{Store, Stream};

use super::args::LogsArgs;
use super::client::Client;
use super::failure::{Failure, code};
use super::progress::TICK;
use super::tail::Tail;
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
        return follow(client, &store, id, tail);
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
            Stream::Stdout => out::file_to_stdout(&path, limit)?,
            Stream::Stderr => out::file_to_stderr(&path, limit)?,
        };
    }
    Ok(code::DONE)
}

fn follow(client: &Client, store: &Store, id: RunId, mut tail: Tail) -> anyhow::Result<u8> {
    let mut waiting = Waiting::new(client, [id], None, false)?;
    if !store.read().run(id)?.state.is_final() && !client.is_served() {
        out::note("no daemon runs, `retrier daemon --detach` starts one");
    }
    loop {
        let woken = waiting.next(store, Some(TICK))?;
        tail.pump(store.read().run(id)?.attempts)?;
        match woken {
            Woken::Tick | Woken::Changed => {}
            Woken::Ended(_) | Woken::TimedOut => return Ok(code::DONE),
            Woken::Signal(signal) => {
                return Ok(code::of_signal(signal));
            }
        }
    }
}
