//! `retrier explain`: what a policy comes to before anything runs, or why a run is where it is.

use std::io::{self, IsTerminal};

use crate::clock;
use crate::json;
use crate::model::plan::WAITS_MAX;
use crate::model::pool::DEFAULT;
use crate::model::{Budget, Plan, Policy, RunId};
use crate::store::Store;

use super::args::{ExplainArgs, PolicyArgs};
use super::client::Client;
use super::render::{Case, Style};
use super::status::{Around, look};
use super::{many, out, pool, render};

/// Of the waits that never end so many are shown when all are asked for.
const ENDLESS_MAX: u32 = 1000;

/// Explains a run, or the policy that the options mean.
pub fn explain(
    client: impl FnOnce() -> anyhow::Result<Client>,
    args: &ExplainArgs,
) -> anyhow::Result<u8> {
    match (args.id, &args.key) {
        (Some(id), _) => {
            let client = client()?;
            let store = client.holding(id)?;
            run(&client, &store, id, args.json)
        }
        (None, Some(key)) => {
            let client = client()?;
            let (store, id) = many::with_key(&client, key)?;
            run(&client, &store, id, args.json)
        }
        (None, None) => {
            let defaults = defaults(client, args.pool.as_deref())?;
            policy(&args.retries.policy(&defaults)?, args)
        }
    }
}

/// The options that were set for a pool. Where no database can be, nothing was set for `default`.
fn defaults(
    client: impl FnOnce() -> anyhow::Result<Client>,
    name: Option<&str>,
) -> anyhow::Result<PolicyArgs> {
    let store = match client() {
        Ok(client) => client.existing()?,
        Err(_) if name.is_none() => None,
        Err(error) => return Err(error),
    };
    pool::defaults(store.as_ref().map(Store::read), name.unwrap_or(DEFAULT))
}

fn policy(policy: &Policy, args: &ExplainArgs) -> anyhow::Result<u8> {
    let limit = match (args.limit, policy.budget) {
        (0, Budget::Forever) => ENDLESS_MAX,
        (0, Budget::Failures(_)) => WAITS_MAX,
        (limit, _) => limit,
    };
    let plan = Plan::of(policy, limit);
    if args.json {
        return out::line(&json::plan(&plan, policy).to_string());
    }
    if io::stdout().is_terminal() {
        return out::text(&render::plan_page(&plan, policy));
    }
    match plan.left {
        Some(0) => {}
        Some(left) => out::note(&format!("{left} more waits follow; --limit 0 lists all")),
        None => out::note("the waits go on without end"),
    }
    out::text(&render::plan_lines(&plan))
}

fn run(client: &Client, store: &Store, id: RunId, json: bool) -> anyhow::Result<u8> {
    let (record, attempts, cause) = look(store, id)?;
    let now = clock::now();
    let service = client.service();
    let around = Around::of(store, &record, (now, &service))?;
    let why = render::why(&Case {
        blocked: around.blocked.as_ref(),
        hook: around.hook.as_ref(),
        is_left: around.is_left,
        record: &record,
        last: attempts.last(),
        cause: cause.as_ref(),
        now,
        service: &service,
    });
    if json {
        let outcome = attempts.iter().rev().find_map(|one| one.outcome.as_ref());
        let decided = cause.and_then(|cause| cause.why);
        return out::line(
            &json::why(
                &record,
                outcome,
                decided,
                (&why, now),
                around.blocked.as_ref(),
            )
            .to_string(),
        );
    }
    match Style::of_stdout().columns {
        Some(columns) => out::line(&render::wrapped(&why, columns).join("\n")),
        None => out::line(&why),
    }
}
