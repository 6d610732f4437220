//! Pools as a table, and what was set for one in the words of the command line. Start reading at
//! [`pools`].

use std::fmt::Write;
use std::time::Duration;

use crate::cli::args::PolicyArgs;
use crate::json;
use crate::model::policy::{Condition, Conditions};
use crate::model::stats::{Standing, pool_state};
use crate::model::{Hold, Pool, PoolRecord, Rate, Timestamp};
use crate::text::escape_text;

use crate::sys::{signal, terminal};

use super::Style;
use super::fit::wrapped;
use super::words::{command, size, span};

/// A pool, and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolRow {
    /// What is stored of it.
    pub record: PoolRecord,
    /// How many of its runs stand where.
    pub standing: Standing,
    /// Why it starts nothing.
    pub hold: Option<Hold>,
}

/// Pools as a table: aligned and cut for a terminal, or separated by tabs.
pub fn pools(rows: &[PoolRow], now: Timestamp, style: Style, is_terminal: bool) -> String {
    if is_terminal {
        return aligned(rows, now, style);
    }
    let mut lines = String::new();
    for PoolRow {
        record,
        standing,
        hold,
    } in rows
    {
        let pool = &record.pool;
        let fields = [
            escape_text(&pool.name),
            pool.parallel.to_string(),
            standing.running.to_string(),
            standing.queued.to_string(),
            standing.scheduled.to_string(),
            pool_state(*hold).to_owned(),
            hold.and_then(Hold::until)
                .and_then(json::rfc3339)
                .unwrap_or_default(),
            pool.rate.map(rate).unwrap_or_default(),
            pool.rate
                .map_or(String::new(), |rate| rate.burst.to_string()),
            pool.breaker.map_or(String::new(), |max| max.to_string()),
            options(&record.options),
            pool.max_pending
                .map_or(String::new(), |max| max.to_string()),
        ];
        let _ = writeln!(lines, "{}", fields.join("\t"));
    }
    lines
}

/// What was set for a pool, on one line.
pub fn settings(pool: &Pool, stored: &str) -> String {
    let mut all = vec![format!("parallel {}", pool.parallel)];
    all.extend(pool.paused.then(|| "paused".to_owned()));
    all.extend(limits(pool, stored));
    all.join(", ")
}

/// What was set for a pool beside its slots.
fn limits(pool: &Pool, stored: &str) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(pool.rate.map(|one| format!("rate {}", rate_and_burst(one))));
    all.extend(pool.breaker.map(|max| format!("breaker {max}")));
    all.extend(pool.max_pending.map(|max| format!("max pending {max}")));
    all.extend(Some(options(stored)).filter(|text| !text.is_empty()));
    all
}

/// Columns that hold numbers stand to the right. What was set for a pool beside its slots stands below it.
fn aligned(rows: &[PoolRow], now: Timestamp, style: Style) -> String {
    let header = [
        "NAME",
        "PARALLEL",
        "RUNNING",
        "QUEUED",
        "SCHEDULED",
        "STATE",
    ];
    let cells: Vec<[String; 6]> = rows.iter().map(|row| cells(row, now)).collect();
    let width = |column: usize| {
        let widths = cells.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0).max(header[column].len())
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let room = terminal::columns().unwrap_or(80).max(40);
    let mut text = String::new();
    for (number, row) in std::iter::once(&header.map(str::to_owned))
        .chain(&cells)
        .enumerate()
    {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let gap = if column > 0 { "  " } else { "" };
            let _ = match column {
                1..=4 => write!(line, "{gap}{cell:>0$}", widths[column]),
                _ => write!(line, "{gap}{cell:<0$}", widths[column]),
            };
        }
        let line = line.trim_end();
        let hold = number.checked_sub(1).and_then(|number| rows[number].hold);
        text.push_str(&coloured(line, hold, style));
        text.push('\n');
        let Some(PoolRow { record, .. }) = number.checked_sub(1).map(|number| &rows[number]) else {
            continue;
        };
        let below = limits(&record.pool, &record.options).join(", ");
        for part in wrapped(&below, room - 2)
            .iter()
            .filter(|part| !part.is_empty())
        {
            let _ = writeln!(text, "  {}", style.faint(part));
        }
    }
    text
}

fn cells(row: &PoolRow, now: Timestamp) -> [String; 6] {
    let pool = &row.record.pool;
    [
        escape_text(&pool.name),
        pool.parallel.to_string(),
        row.standing.running.to_string(),
        row.standing.queued.to_string(),
        row.standing.scheduled.to_string(),
        state(row, now),
    ]
}

/// Its state, and what is known of the end of it.
fn state(row: &PoolRow, now: Timestamp) -> String {
    let word = pool_state(row.hold);
    let Some(hold) = row.hold else {
        return word.to_owned();
    };
    match (hold, hold.until()) {
        (Hold::Open { .. }, Some(until)) => {
            format!("{word}, probe in {}", span(until.since(now)))
        }
        (_, Some(until)) => format!("{word} for {}", span(until.since(now))),
        (Hold::Open { .. }, None) if row.record.gate.probe.is_some() => {
            format!("{word}, probing")
        }
        (Hold::Open { .. } | Hold::Paused | Hold::Full | Hold::Limited { .. }, None) => {
            word.to_owned()
        }
    }
}

/// The line of a pool that starts nothing stands out.
fn coloured(line: &str, hold: Option<Hold>, style: Style) -> String {
    let code = match hold {
        Some(Hold::Open { .. }) => "31",
        Some(Hold::Paused | Hold::Full | Hold::Limited { .. }) => "33",
        None => return line.to_owned(),
    };
    if style.colour {
        format!("\x1b[{code}m{line}\x1b[0m")
    } else {
        line.to_owned()
    }
}

/// As `--rate` takes it.
fn rate(rate: Rate) -> String {
    format!("{}/{}", rate.starts, exact(rate.per))
}

fn rate_and_burst(one: Rate) -> String {
    match one.burst {
        1 => rate(one),
        burst => format!("{} burst {burst}", rate(one)),
    }
}

/// A duration as options take it, to the millisecond.
fn exact(duration: Duration) -> String {
    let ms = duration.as_millis();
    let parts = [
        (ms / 86_400_000, "d"),
        (ms / 3_600_000 % 24, "h"),
        (ms / 60_000 % 60, "m"),
        (ms / 1000 % 60, "s"),
        (ms % 1000, "ms"),
    ];
    let named = parts.iter().filter(|(number, _)| *number > 0);
    let text: String = named
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// The options that are stored with a pool, as they can be pasted; as they are when a newer program
/// has stored them.
fn options(stored: &str) -> String {
    match PolicyArgs::of_stored(stored) {
        Ok(options) => command(&words(&options)),
        Err(_) => escape_text(stored),
    }
}

fn words(options: &PolicyArgs) -> Vec<Vec<u8>> {
    let (budget, waits, rules) = (&options.budget, &options.waits, &options.rules);
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let factor = |factor: Option<f64>| factor.map(|factor| factor.to_string());
    let time = |time: Option<Duration>| time.map(exact);
    let delays = waits.delays.as_ref().map(|list| {
        let delays: Vec<String> = list.0.iter().copied().map(exact).collect();
        delays.join(",")
    });
    let list = |list: &Option<Conditions>| list.as_ref().map(conditions);
    let mut all = vec![
        ("max-failures", number(budget.max_failures)),
        ("max-attempts", number(budget.max_attempts)),
        ("initial-backoff", time(waits.initial_backoff)),
        ("base", factor(waits.base)),
        ("constant", time(waits.constant)),
        ("linear", time(waits.linear)),
        ("delays", delays),
        ("max-backoff", time(options.max_backoff)),
        ("jitter", factor(options.jitter)),
        ("success-codes", list(&rules.success_codes)),
        ("retry-on", list(&rules.retry_on)),
        ("stop-on", list(&rules.stop_on)),
    ];
    all.extend(
        rules
            .retry_if
            .iter()
            .map(|one| ("retry-if", Some(one.clone()))),
    );
    all.extend(
        rules
            .stop_if
            .iter()
            .map(|one| ("stop-if", Some(one.clone()))),
    );
    all.extend([
        ("decide", rules.decide.clone()),
        ("timeout", time(options.timeout)),
        ("deadline", time(options.deadline)),
        ("grace", time(options.grace)),
        ("max-output", options.max_output.map(size)),
    ]);
    let switches = [
        ("forever", budget.forever),
        ("retry-after", options.retry_after),
    ];
    let switches = switches.into_iter().filter_map(|(name, is_on)| {
        Some(if is_on? {
            format!("--{name}")
        } else {
            format!("--{name}=false")
        })
    });
    let values = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let values = values.flat_map(|(name, value)| match value.starts_with('-') {
        true => vec![format!("--{name}={value}")],
        false => vec![format!("--{name}"), value],
    });
    switches.chain(values).map(String::into_bytes).collect()
}

/// As `--retry-on` takes them.
fn conditions(list: &Conditions) -> String {
    let one = |condition: &Condition| match condition {
        Condition::Exit { from, to } if from == to => from.to_string(),
        Condition::Exit { from, to } => format!("{from}-{to}"),
        Condition::Signal(number) => {
            signal::name(*number).unwrap_or_else(|| format!("signal {number}"))
        }
        Condition::Timeout => "timeout".to_owned(),
        Condition::Spawn => "spawn".to_owned(),
        Condition::Lost => "lost".to_owned(),
    };
    list.0.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::{Args, Command, FromArgMatches};

    fn parsed(words: &[&str]) -> PolicyArgs {
        let command = PolicyArgs::augment_args(Command::new("pool").no_binary_name(true));
        let matches = command.try_get_matches_from(words).unwrap();
        PolicyArgs::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn options_survive_being_stored_and_being_pasted() {
        for given in [
            &[][..],
            &["--max-failures=0", "--base=1.5", "--initial-backoff=1ms"],
            &[
                "--max-attempts=9",
                "--constant=36d",
                "--linear=1h1ms",
                "--jitter=0.1",
            ],
            &[
                "--forever",
                "--delays=0,1s,90m",
                "--max-backoff=1w",
                "--retry-after=false",
            ],
            &[
                "--forever=no",
                "--retry-after",
                "--timeout=0",
                "--deadline=100d",
                "--grace=7s",
                "--max-output=10M",
            ],
            &[
                "--success-codes=0,24,SIGTERM",
                "--retry-on=75,100-110,RTMIN+1,spawn",
            ],
            &[
                "--stop-on=timeout,lost,SEGV",
                "--retry-if=a b",
                "--retry-if=-x\u{1b}",
                "--stop-if='\\d",
            ],
            &["--decide=jq '.a | \"b\"'\n", "--max-output=300001"],
            &["--max-output=0"],
        ] {
            let options = parsed(given);
            let stored = options.stored().to_string();
            assert_eq!(
                PolicyArgs::of_stored(&stored),
                Ok(options.clone()),
                "{stored}"
            );
            let words = words(&options);
            let words: Vec<&str> = words
                .iter()
                .map(|w| std::str::from_utf8(w).unwrap())
                .collect();
            assert_eq!(parsed(&words), options, "{words:?}");
        }
        assert_eq!(PolicyArgs::default().stored().to_string(), "{}");
        for newer in [r#"{"patience":3}"#, r#"{"jitter":"much"}"#, "[]", "x", ""] {
            assert!(PolicyArgs::of_stored(newer).is_err(), "{newer}");
        }
    }

    #[test]
    fn a_duration_is_told_to_the_millisecond() {
        let told = |ms| exact(Duration::from_millis(ms));
        assert_eq!(told(0), "0s");
        assert_eq!(told(60_000), "1m");
        assert_eq!(told(90_061_001), "1d1h1m1s1ms");
        assert_eq!(told(365 * 86_400_000), "365d");
    }
}
