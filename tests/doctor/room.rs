//! A disk that is nearly full, and who fills it.

use crate::support::{Home, Need, skip};

#[test]
fn on_a_disk_with_little_room_the_runs_are_named_that_take_most() {
    if skip(Need::LoopMount) {
        return;
    }
    let home = Home::at("disk/retrier.db");
    let _disk = home.mount("disk", 40);
    let _daemon = home.daemon();
    let wrote = |mib: u32| {
        let id = home.run(["--", "head", "-c", &format!("{mib}M"), "/dev/urandom"]);
        assert_eq!(home.wait(id), 0);
        id
    };
    let (less, little, most) = (wrote(3), home.run(["--", "echo"]), wrote(5));
    home.wait(little);
    let told = home.retrier(["doctor"]).output().ok().text();
    let logs = home.path("disk/retrier.db.d/logs");
    let named = format!(
        "what attempts wrote is in {}, most of it of run {most} (5 MiB), run {less} (3 MiB)",
        logs.display()
    );
    assert!(told.starts_with("warning\troom\tthe disk has "), "{told}");
    assert!(told.ends_with(&named), "{told}");
}
