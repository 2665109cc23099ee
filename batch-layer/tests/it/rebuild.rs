//! Disaster recovery: the archive is the master, so the database can be made again from it alone.

use crate::support::{World, finish, key, some_ticks};

/// As docs/operations.md says it under "Rebuild from the archive".
const MIGRATE: [&str; 2] = ["--migrations", "only"];
const BACKFILL: [&str; 4] = ["--from", "2025-06-02T00", "--to", "2025-06-03T00"];

#[tokio::test]
async fn a_dropped_database_is_rebuilt_from_the_archive_to_the_last_digit() {
    let world = World::create().await;
    for hour in 0..24 {
        world.put(&key(hour, 0, hour * 1000), &some_ticks(hour, 0, hour * 1000, 400)).await;
        world.put(&key(hour, 1, hour * 1000), &some_ticks(hour, 1, hour * 1000, 100)).await;
    }
    // Ticks that came late, in a folder of another hour, and a run that had to compute their hour
    // again.
    world.run_ok(&BACKFILL).await;
    world.put(&key(20, 2, 5000), &some_ticks(14, 2, 5000, 50)).await;
    world.run_ok(&BACKFILL).await;
    let before = world.summary().await;
    assert_eq!(before.len(), 24 * 5, "24 hours of 5 symbols");

    let rebuilt = testing::TestDatabase::create().await;
    for flags in [&MIGRATE[..], &BACKFILL[..]] {
        let mut command = world.command(flags);
        command.env("DATABASE_URL", rebuilt.url());
        let outcome = finish(command).await;
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    }
    let world = World { database: rebuilt, bucket: world.bucket };
    assert_eq!(world.summary().await, before);
}
