//! `retrier run`: store a command, say its id, see to it that a daemon runs.

use crate::clock;
use crate::json;

use super::args::RunArgs;
use super::client::{Client, Service};
use super::failure::{Failure, code};
use super::wait::{Manner, one};
use super::{capture, out};

/// Stores a run. The three outcomes: it is stored and its id printed, it is surely not stored, or
/// nobody knows (exit code 5).
pub fn run(client: impl FnOnce() -> anyhow::Result<Client>, args: &RunArgs) -> anyhow::Result<u8> {
    let done = client().and_then(|client| store(&client, args));
    let failed = |error| {
        let failure = Failure::from(error);
        match failure.code {
            code::FAILED | code::UNKNOWN if args.wait => failure.of_retrier().into(),
            _ => failure.into(),
        }
    };
    done.map_err(failed)
}

fn store(client: &Client, args: &RunArgs) -> anyhow::Result<u8> {
    let spec = capture::spec(args)?;
    let mut store = client.create()?;
    // Connected before the transaction begins: that it closes is the ring, also when this process
    // is killed right after its commit.
    let ring = client.ring();
    let id = store.submit(&spec, clock::now())?.id;
    let rung = ring.is_connected();
    drop(ring);
    if args.wait {
        drop(store);
        if !args.quiet {
            out::note_to_terminal(&format!("run {id}"));
        }
        let waited = one(
            client,
            id,
            Manner {
                timeout: None,
                stream: args.stream,
                quiet: args.quiet,
                json: args.json,
                start: !args.no_daemon_start,
                own: true,
            },
        );
        return waited.map_err(|error| {
            let mut failure = Failure::from(error);
            // Who reads only that it failed would store it once more.
            failure.message = format!("run {id} is stored, but: {}", failure.message);
            failure.into()
        });
    }
    let text = if args.json {
        json::stored(id).to_string()
    } else {
        id.to_string()
    };
    let told = out::line(&text);
    if !args.no_daemon_start {
        // The run is stored, and a daemon will find it.
        match (client.ensure_daemon(rung), client.service()) {
            (Err(error), _) => out::note(&format!("warning: run {id} is stored, but {error:#}")),
            (Ok(()), Service::Troubled(why)) => {
                out::note(&format!(
                    "warning: run {id} is stored, and has to wait: {why}"
                ));
            }
            (Ok(()), Service::Well | Service::None) => {}
        }
    }
    if args.no_daemon_start && !args.quiet && !client.is_served() {
        out::note_to_terminal(&format!("run {id} waits for a daemon, and none runs"));
    }
    // Whoever did not get the id must not take the run for one that is not stored.
    told.map_err(|error| {
        let message = format!("run {id} is stored, but its id could not be told: {error:#}");
        Failure::new(code::UNKNOWN, message).into()
    })
}
