//! What the clients do.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::load::Op;
use super::world::Order;
use super::{BATCH, CLIENTS, Fray};

impl Fray<'_> {
    /// One client, until all is over: it stores its share of the runs, spread over the whole time, and meddles.
    pub fn client(&self, mut rng: fastrand::Rng, whole: Duration) {
        let runs = self.scene.runs / CLIENTS;
        let mut unstored = runs;
        while !self.is_over() {
            let share = self.limit.left().as_secs_f64() / whole.as_secs_f64();
            if unstored as f64 > share * runs as f64 {
                self.submit(&mut rng);
                unstored -= 1;
            } else {
                self.meddle(&mut rng);
            }
            self.pause(&mut rng, 0..600);
        }
        if !(self.stop)(&self.world.journal) {
            for _ in 0..unstored {
                self.submit(&mut rng);
            }
        }
    }

    /// Stores runs; some clients are killed while they do.
    pub fn submit(&self, rng: &mut fastrand::Rng) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let Order { op, args, batch } = self.world.order(rng, number);
        let patience = (rng.u8(..16) == 0).then(|| Duration::from_millis(rng.u64(..20)));
        match batch {
            Some((lines, name)) => {
                let ids = self.clients.make_batch(&args, (lines, BATCH), patience);
                let mut batches = self.batches.lock().expect("nobody panics while holding it");
                batches.push((name, ids));
            }
            None => {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                self.clients.make((op, None), &args, patience);
            }
        }
    }

    /// Does something with a run: mostly with one of the last.
    fn meddle(&self, rng: &mut fastrand::Rng) {
        let ids = self.clients.ids();
        let last = ids
            .len()
            .saturating_sub(if rng.bool() { 10 } else { ids.len() });
        let Some(id) = rng.choice(&ids[last..]) else {
            return;
        };
        let text = id.to_string();
        let pool = ["default", "narrow", "slow", "frail"][rng.usize(..4)];
        let (op, args): (Op, &[&str]) = match rng.u8(..16) {
            0..=2 => (Op::Wait, &["wait", "--json", "--timeout", "500ms", &text]),
            3..=5 => (Op::Look, &["status", "--json", &text]),
            6 => (Op::Look, &["list", "--json", "--limit", "20"]),
            7 => (Op::Logs, &["logs", &text]),
            8 | 9 => (Op::Cancel, &["cancel", &text]),
            10 => (Op::Retry, &["retry", &text]),
            11 => (Op::Retry, &["retry", "--delay", "200ms", &text]),
            12 if rng.bool() => {
                self.clients
                    .make((Op::Logs, None), &["pool", "pause", pool], None);
                self.pause(rng, 0..300);
                (Op::Logs, &["pool", "resume", pool])
            }
            _ if self.is_of_batch(*id) => (Op::Logs, &["events", &text]),
            _ => (Op::Cleanup, &["cleanup", &text]),
        };
        let about = (!["list", "pool"].contains(&args[0])).then_some(*id);
        self.clients.make((op, about), args, None);
    }

    /// Whether it is one of those that are counted in the end.
    fn is_of_batch(&self, id: i64) -> bool {
        let batches = self.batches.lock().expect("nobody panics while holding it");
        batches.iter().any(|(_, ids)| ids.contains(&id))
    }
}
