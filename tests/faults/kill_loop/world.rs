//! What is stored while things are killed: runs with pools, locks, keys, hooks, deadlines and decisions, whose commands
//! trip over each other when two are alive that may not be.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::support::{Home, Journal};

use super::super::load::Op;

/// How many of the pool `narrow` may run at once.
const SLOTS: usize = 2;

/// The pools beside `default`.
const POOLS: [(&str, &[&str]); 3] = [
    ("narrow", &["--parallel", "2"]),
    ("slow", &["--rate", "20/s", "--burst", "3"]),
    (
        "frail",
        &["--breaker", "3", "--constant", "50ms", "--jitter", "0"],
    ),
];

/// What every run has, as long as nothing else is said.
const POLICY: [&str; 8] = [
    "--constant",
    "100ms",
    "--jitter",
    "0",
    "--max-failures",
    "2",
    "--grace",
    "500ms",
];

/// The name of a run that never ends by itself.
pub const ENDLESS: &str = "endless";

/// A call that stores runs.
pub struct Order {
    pub op: Op,
    pub args: Vec<String>,
    /// The lines of a batch, and its name.
    pub batch: Option<(String, String)>,
}

impl Order {
    fn of(op: Op, args: &[&str], batch: Option<(String, String)>) -> Order {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Order { op, args, batch }
    }
}

/// Where commands write down what they see.
pub struct World {
    pub journal: Journal,
    place: PathBuf,
    /// Makes the exit codes random.
    salt: i64,
}

impl World {
    /// An empty one, with pools.
    #[track_caller]
    pub fn new(home: &Home, salt: i64) -> World {
        for (pool, options) in POOLS {
            let set = home.retrier(["pool", "set", pool].iter().chain(options));
            set.output().ok();
        }
        World {
            journal: Journal::new(home),
            place: home.path("home"),
            salt,
        }
    }

    /// What attempt `number` of run `id` exits with.
    pub fn code(&self, id: i64, number: i64) -> i64 {
        (id * 7 + number * 3 + self.salt) % 5 % 3
    }

    /// What the hooks have written down: `PARENT HOOK ATTEMPT RESULT` a line.
    pub fn told(&self) -> String {
        fs::read_to_string(self.place.join("hooks")).unwrap_or_default()
    }

    /// When an endless command of this run was alive last, in nanoseconds since 1970.
    pub fn last_beat(&self, id: i64) -> Option<i64> {
        let text = fs::read_to_string(self.place.join(format!("beat-{id}")));
        text.ok()?.trim().parse().ok()
    }

    /// The line of a hook.
    fn hook(&self) -> String {
        let who = "$RETRIER_PARENT_ID $RETRIER_RUN_ID $RETRIER_ATTEMPT $RETRIER_RESULT";
        format!("echo {who} >>'{}'", self.place.join("hooks").display())
    }

    /// Takes the lock of a file on a descriptor, as long as the command lives, and says so when another has it.
    fn trip(&self, descriptor: u8, name: &str) -> String {
        let file = self.place.join(name);
        format!(
            "exec {descriptor}>>'{}'\nflock -n -E 77 {descriptor}\n\
             [ $? != 77 ] || echo {name} $who >>\"$journal/violations\"\n",
            file.display()
        )
    }

    /// Takes one of the slots, as [`World::trip`] does.
    fn trip_slot(&self) -> String {
        let slots: Vec<String> = (0..SLOTS).map(|slot| slot.to_string()).collect();
        format!(
            "for slot in {}; do exec 6>>'{}'.$slot; flock -n -E 77 6; [ $? = 77 ] || break; slot=; done\n\
             [ -n \"$slot\" ] || echo slot $who >>\"$journal/violations\"\n",
            slots.join(" "),
            self.place.join("slot").display()
        )
    }

    /// How a command ends: with the code of its attempt.
    fn exit(&self, before: &str) -> String {
        let salt = self.salt;
        let code = format!("(RETRIER_RUN_ID * 7 + RETRIER_ATTEMPT * 3 + {salt}) % 5 % 3");
        format!("code=$(( {code} ))\n{before}exit $code")
    }

    /// A run, or several, of random kind. `number` is one that no other has.
    pub fn order(&self, rng: &mut fastrand::Rng, number: u64) -> Order {
        let hook = self.hook();
        let mut args: Vec<&str> = vec!["run"];
        args.extend(POLICY.into_iter().chain(["--on-complete", &hook]));
        let mut trips = String::new();
        let priority = format!("--priority={}", rng.i32(-3..=3));
        args.push(&priority);
        match rng.u8(..6) {
            0 | 1 => {
                args.extend(["--pool", "narrow"]);
                trips += &self.trip_slot();
            }
            2 => args.extend(["--pool", "slow"]),
            3 => args.extend(["--pool", "frail"]),
            _ => {}
        }
        let lock = format!("lock-{}", rng.u8(..3));
        if rng.u8(..4) == 0 {
            args.extend(["--lock", &lock]);
            trips += &self.trip(8, &lock);
        }
        let sleep = format!("sleep 0.{:03}\n", rng.u32(..300));
        let plain = format!("{trips}{sleep}{}", self.exit(""));
        if rng.u8(..12) == 0 {
            let name = format!("batch-{number}");
            let line = json!({"shell": self.journal.line(&plain)}).to_string() + "\n";
            args.extend(["--name", &name, "--batch", "-"]);
            let lines = line.repeat(super::BATCH);
            return Order::of(Op::Run, &args, Some((lines, name.clone())));
        }
        let key = format!("key-{}", rng.u8(..3));
        let op = if rng.u8(..3) == 0 {
            args.extend(["--key", &key]);
            trips += &self.trip(7, &key);
            Op::RunWithKey
        } else {
            Op::Run
        };
        let deadline = format!("{}ms", rng.u32(600..3000));
        let body = match rng.u8(..8) {
            0 => {
                args.extend(["--deadline", &deadline, "--name", ENDLESS]);
                let beat = self.place.join("beat-").display().to_string();
                format!("{trips}while :; do date +%s%N >'{beat}'$RETRIER_RUN_ID; sleep 0.1; done")
            }
            1 => {
                args.extend(["--deadline", "30s", "--delay", "300ms"]);
                format!("{trips}{sleep}{}", self.exit(""))
            }
            2 => {
                args.extend(["--decide", r#"echo '{"retry":false}'"#]);
                format!("{trips}{sleep}{}", self.exit(""))
            }
            3 => {
                let snooze = "[ $code = 0 ] || [ $RETRIER_ATTEMPT != 1 ] || \
                     echo '{\"snooze\":\"100ms\"}' >\"$RETRIER_DECISION\"\n";
                format!("{trips}{sleep}{}", self.exit(snooze))
            }
            _ => format!("{trips}{sleep}{}", self.exit("")),
        };
        let line = self.journal.line(&body);
        args.extend(["--shell", &line]);
        Order::of(op, &args, None)
    }
}
