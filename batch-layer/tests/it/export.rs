//! Ranges of ticks out of the archive: from the lake, from raw objects, and where either is not
//! what it was.

use crate::support::{COMPACT, DAY, LONG, Outcome, Tick, World, finish, key, lines, some_ticks};
use hourly::lake::file;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use testing::{Child, HttpProxy, Treatment, stack};

const EXPORT: [&str; 5] = ["export", "--from", "2025-06-02", "--to", "2025-06-03"];

/// The lines that CSV has of ticks that a test has made up, in the order of an export.
fn expected(ticks: &[Tick]) -> Vec<String> {
    let mut ticks: Vec<&Tick> = ticks.iter().collect();
    ticks.sort_by_key(|tick| {
        (tick.at.floor(3_600_000_000), &tick.symbol, tick.at, tick.partition, tick.offset)
    });
    ticks.iter().map(|tick| line(tick)).collect()
}

fn line(tick: &Tick) -> String {
    let decimal = |units: i64| {
        let text = format!("{}.{:04}", units / 10_000, units % 10_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let Tick { symbol, at, open, close, volume, partition, offset } = tick;
    let (open, close) = (decimal(*open), decimal(*close));
    format!("{symbol},{at},{open},,,{close},{volume},,,,,stock_prices,{partition},{offset},0")
}

/// The lines below the header.
fn exported(text: &str) -> Vec<String> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    assert!(header.starts_with("symbol,timestamp,open,"), "{header}");
    lines.map(str::to_owned).collect()
}

async fn export(world: &World, more: &[&str]) -> Outcome {
    world.run(&[&EXPORT[..], more].concat()).await
}

/// Two hours of which the first is in the lake, and late ticks of it are not.
async fn half_in_the_lake(world: &World) -> Vec<Tick> {
    let ticks = [some_ticks(13, 0, 0, 300), some_ticks(14, 1, 0, 200)].concat();
    world.put(&key(13, 0, 0), &ticks[..300]).await;
    world.run_ok(&DAY).await;
    world.run_ok(&COMPACT).await;
    // Some of its records were archived before.
    world.put(&key(14, 1, 0), &ticks[300..]).await;
    world.put(&key(14, 1, 100), &ticks[400..]).await;
    world.run_ok(&DAY).await;
    ticks
}

#[tokio::test]
async fn each_tick_of_a_range_is_exported_once_from_the_lake_or_from_raw_objects() {
    let world = World::create().await;
    let ticks = half_in_the_lake(&world).await;
    let outcome = export(&world, &[]).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(exported(&outcome.stdout), expected(&ticks));
    assert!(
        outcome.stderr.contains("1 hour from the lake, 1 from raw objects"),
        "{}",
        outcome.stderr
    );
    // What the lake has is read there.
    world.expire(&key(13, 0, 0)).await;
    let outcome = export(&world, &[]).await;
    assert_eq!(
        (outcome.code, exported(&outcome.stdout)),
        (0, expected(&ticks)),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn a_range_of_any_time_and_some_symbols_has_those_ticks_alone() {
    let world = World::create().await;
    let ticks = half_in_the_lake(&world).await;
    let (from, to) = ("2025-06-02T13:30:00Z", "2025-06-02T14:15:00Z");
    let outcome = world
        .run_ok(&["export", "--from", from, "--to", to, "--symbol", "MSFT", "--symbol", "BRK-B"])
        .await;
    let is_wanted = |tick: &&Tick| {
        let at = tick.at.to_string();
        (from..to).contains(&&*at) && ["MSFT", "BRK-B"].contains(&&*tick.symbol)
    };
    let wanted: Vec<Tick> = ticks.iter().filter(is_wanted).cloned().collect();
    assert!(!wanted.is_empty());
    assert_eq!(exported(&outcome.stdout), expected(&wanted));
}

#[tokio::test]
async fn an_object_of_the_lake_that_is_gone_or_false_is_replaced_by_raw_objects() {
    for content in [None, Some("garbage")] {
        let world = World::create().await;
        let ticks = half_in_the_lake(&world).await;
        let listed = world.bucket.list("lake/source=").await.unwrap();
        match content {
            Some(content) => world.bucket.put(&listed[0].key, content).await.unwrap(),
            None => world.bucket.delete(&listed[0].key).await.unwrap(),
        }
        let outcome = export(&world, &[]).await;
        assert_eq!(
            (outcome.code, exported(&outcome.stdout)),
            (0, expected(&ticks)),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains("its raw objects are read"), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("0 hours from the lake, 2 from raw objects"),
            "{}",
            outcome.stderr
        );
        // Where neither is there any more, that is said.
        world.expire(&key(13, 0, 0)).await;
        world.run_ok(&DAY).await;
        let outcome = export(&world, &[]).await;
        assert_eq!(
            (outcome.code, exported(&outcome.stdout)),
            (4, expected(&ticks[300..])),
            "{}",
            outcome.stderr
        );
        let why = "0 of its 300 ticks were found: its raw objects are gone, and what the lake had of them is, too";
        assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("200 ticks of 1 hour exported: 0 hours from the lake, 1 from"),
            "{}",
            outcome.stderr
        );
    }
}

#[tokio::test]
async fn late_ticks_of_an_hour_whose_objects_have_expired_come_to_what_the_lake_has() {
    let world = World::create().await;
    let ticks = half_in_the_lake(&world).await;
    world.expire(&key(13, 0, 0)).await;
    let late = some_ticks(13, 0, 300, 5);
    world.put(&key(15, 0, 300), &late).await;
    world.run_ok(&DAY).await;
    let outcome = export(&world, &[]).await;
    assert_eq!(
        (outcome.code, exported(&outcome.stdout)),
        (0, expected(&[ticks, late].concat())),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn an_hour_that_is_incomplete_or_that_nobody_has_read_is_named_and_the_exit_code_is_4() {
    let world = World::create().await;
    let ticks = half_in_the_lake(&world).await;
    // The speed layer has more of the second hour, and nobody has read what lies in the folder of a
    // third.
    world.insert_realtime(&some_ticks(14, 1, 0, 210)).await;
    world.fill_minute_bars().await;
    world.run_ok(&DAY).await;
    world.put(&key(16, 0, 1000), &some_ticks(16, 0, 1000, 5)).await;
    let outcome = export(&world, &[]).await;
    assert_eq!(
        (outcome.code, exported(&outcome.stdout)),
        (4, expected(&ticks)),
        "{}",
        outcome.stderr
    );
    let why = "hour 2025-06-02T14:00Z: exported as it is: 10 ticks of the speed layer are not in the archive";
    assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("2025-06-02-16/ the first: nothing is exported of them"),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn an_object_that_is_new_or_another_one_in_a_folder_that_was_read_is_named_and_the_exit_code_is_4()
 {
    let world = World::create().await;
    let ticks = half_in_the_lake(&world).await;
    world.bucket.put("raw/stock_prices/2025-06-02-14/notes.txt", "no sink's").await.unwrap();
    let outcome = export(&world, &[]).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    // One hour is in the lake, of the other one raw objects are there.
    for (hour, partition, offset) in [(13, 0, 300), (14, 1, 300)] {
        world.put(&key(hour, partition, offset), &some_ticks(hour, partition, offset, 5)).await;
        let outcome = export(&world, &[]).await;
        assert_eq!(
            (outcome.code, exported(&outcome.stdout).len()),
            (4, ticks.len()),
            "{}",
            outcome.stderr
        );
        let folder = "1 folder has objects that are new or have changed since batch-layer looked";
        assert!(outcome.stderr.contains(folder), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains(&format!("2025-06-02-{hour}/ the first")),
            "{}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains(&format!("The first: 2025-06-02T{hour}:00Z")),
            "{}",
            outcome.stderr
        );
        world.run_ok(&DAY).await;
        let outcome = export(&world, &[]).await;
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        world.bucket.delete(&key(hour, partition, offset)).await.unwrap();
        world.run(&[&DAY[..], &["--allow-shrink"]].concat()).await;
    }
    // The lake has what the object was.
    world.run_ok(&COMPACT).await;
    world.put(&key(13, 0, 0), &ticks[..299]).await;
    let outcome = export(&world, &[]).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("2025-06-02-13/ the first"), "{}", outcome.stderr);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_not_called_a_new_one() {
    let world = World::create().await;
    half_in_the_lake(&world).await;
    world.bucket.put(&(key(14, 1, 300) + ".gz"), "no gzip").await.unwrap();
    world.run(&DAY).await;
    let outcome = export(&world, &[]).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("an object cannot be read"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("since batch-layer looked"), "{}", outcome.stderr);
}

#[tokio::test]
async fn the_name_of_the_file_says_its_format_and_one_that_says_another_is_refused() {
    let world = World::create().await;
    half_in_the_lake(&world).await;
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).display().to_string();
    for (name, flags, is_parquet) in [
        ("ticks.parquet", &[][..], true),
        ("ticks.PARQUET", &["--format", "parquet"], true),
        ("ticks.csv", &[], false),
        ("ticks.txt", &[], false),
        ("ticks", &["--format", "parquet"], true),
    ] {
        world.run_ok(&[&EXPORT[..], flags, &["--output", &path(name)]].concat()).await;
        assert_eq!(fs::read(path(name)).unwrap().starts_with(b"PAR1"), is_parquet, "{name}");
    }
    for (name, format) in [("other.parquet", "csv"), ("other.csv", "parquet")] {
        let outcome = export(&world, &["--output", &path(name), "--format", format]).await;
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("--format"), "{}", outcome.stderr);
        assert!(!Path::new(&path(name)).exists());
    }
    // A folder is one, whatever it is called.
    world
        .run_ok(&[&EXPORT[..], &["--format", "csv", "--output", &path("lines.parquet/")]].concat())
        .await;
    assert_eq!(hours_below(&temp.path().join("lines.parquet")).len(), 2);
}

#[tokio::test]
async fn ticks_that_tell_no_offsets_are_exported_as_csv_and_named_where_the_lakes_columns_have_no_place()
 {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 5);
    let without_offsets = lines(&ticks).replace(r#""kafka_offset":"#, r#""other":"#);
    world.bucket.put(&key(10, 0, 0), without_offsets).await.unwrap();
    world.put(&key(11, 0, 5), &some_ticks(11, 0, 5, 5)).await;
    world.run_ok(&DAY).await;
    let outcome = export(&world, &[]).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let without = |line: String| format!("{},,", line.rsplitn(3, ',').last().unwrap());
    let expected_lines =
        expected(&ticks).into_iter().map(without).chain(expected(&some_ticks(11, 0, 5, 5)));
    assert_eq!(exported(&outcome.stdout), expected_lines.collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticks.parquet");
    let outcome =
        export(&world, &["--format", "parquet", "--output", path.to_str().unwrap()]).await;
    assert_eq!((outcome.code, rows(&path)), (4, 5), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("--format csv has them"), "{}", outcome.stderr);
}

fn rows(path: &Path) -> u64 {
    file::each(File::open(path).unwrap(), &mut |_, _| ()).unwrap()
}

/// Files below a folder, by their paths in it.
fn files(root: &Path) -> BTreeSet<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(
                    found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
                ),
            }
        }
    }
    found
}

#[tokio::test]
async fn a_folder_gets_a_file_for_each_hour_as_the_lake_has_them_and_a_file_has_them_all() {
    let world = World::create().await;
    let ticks = half_in_the_lake(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("all/");
    let outcome =
        export(&world, &["--format", "parquet", "--output", &format!("{}/", whole.display())])
            .await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let names = [13, 14]
        .map(|hour| format!("source=stock_prices/date=2025-06-02/hour={hour}/ticks.parquet"));
    assert_eq!(files(&whole), BTreeSet::from(names.clone()));
    assert_eq!(names.map(|name| rows(&whole.join(name))), [300, 200]);
    let one = folder.path().join("one.parquet");
    let outcome = export(&world, &["--format", "parquet", "--output", one.to_str().unwrap()]).await;
    assert_eq!((outcome.code, rows(&one)), (0, 500), "{}", outcome.stderr);
    let csv = folder.path().join("one.csv");
    let outcome = export(&world, &["--output", csv.to_str().unwrap()]).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(exported(&fs::read_to_string(&csv).unwrap()), expected(&ticks));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing is left beside them");
}

#[tokio::test]
async fn standard_output_takes_parquet_as_a_whole_and_who_has_seen_enough_of_it_ends_the_run_in_peace()
 {
    let world = World::create().await;
    half_in_the_lake(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("piped.parquet");
    let mut command = world.command(&[&EXPORT[..], &["--format", "parquet"]].concat());
    command.stdout(File::create(&path).unwrap()).stderr(Stdio::null());
    let status = tokio::task::spawn_blocking(move || command.status()).await.unwrap().unwrap();
    assert!(status.success());
    assert_eq!(rows(&path), 500);
    let mut shell = Command::new("bash");
    let program = env!("CARGO_BIN_EXE_batch-layer");
    shell.args(["-o", "pipefail", "-c", &format!("{program} {} | true", EXPORT.join(" "))]);
    shell.env_clear().env("PATH", std::env::var("PATH").unwrap());
    shell
        .envs(world.bucket.env())
        .env("DATABASE_URL", world.database.url())
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let outcome = finish(shell).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

#[tokio::test]
async fn a_run_that_fails_or_is_killed_leaves_the_file_that_was_there() {
    let world = World::create().await;
    half_in_the_lake(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticks.csv");
    fs::write(&path, "before").unwrap();
    let target = stack("STACK_S3_ENDPOINT_URL").replace("http://", "");
    let proxy = HttpProxy::start(&target, |request| match request.path.contains("%2B1%2B") {
        true => Treatment::StallAfter(10),
        false => Treatment::Forward,
    })
    .await;
    let mut command = world.command(&[&EXPORT[..], &["--output", path.to_str().unwrap()]].concat());
    command.env("S3_ENDPOINT_URL", format!("http://{}", proxy.address()));
    let mut run = Child::spawn(command);
    let is_reading = || proxy.requests().iter().any(|request| request.path.contains("%2B1%2B"));
    testing::eventually("the second hour is read", LONG, async || is_reading()).await;
    run.sigkill();
    run.wait_exit(LONG).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    let outcome = export(&world, &["--output", path.to_str().unwrap()]).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(exported(&fs::read_to_string(&path).unwrap()).len(), 500);
    assert_eq!(files(folder.path()), BTreeSet::from(["ticks.csv".to_owned()]));
}

#[tokio::test]
async fn what_cannot_be_meant_is_a_configuration_error() {
    let world = World::create().await;
    for flags in [
        &["export", "--from", "2025-06-03", "--to", "2025-06-02"][..],
        &["export", "--from", "yesterday"],
        &["export"],
        &["export", "--from", "2025-06-02", "--format", "xlsx"],
        &["export", "--from", "2025-06-02", "--output", "/nowhere/at/all/ticks.csv"],
    ] {
        let outcome = world.run(flags).await;
        assert_eq!(outcome.code, 2, "{flags:?} {}", outcome.stderr);
    }
}

#[tokio::test]
async fn a_user_that_may_only_read_the_database_can_export() {
    let world = World::create().await;
    let ticks = half_in_the_lake(&world).await;
    let reader = format!("reader_{}", world.database.name());
    world
        .execute(&format!(
            "create role {reader} login password 'secret';
             grant select on all tables in schema public to {reader};"
        ))
        .await;
    let mut url = url::Url::parse(world.database.url()).unwrap();
    url.set_username(&reader).unwrap();
    url.set_password(Some("secret")).unwrap();
    let mut command = world.command(&EXPORT);
    command.env("DATABASE_URL", url.as_str());
    let outcome = finish(command).await;
    world.execute(&format!("drop owned by {reader}; drop role {reader}")).await;
    assert_eq!(
        (outcome.code, exported(&outcome.stdout)),
        (0, expected(&ticks)),
        "{}",
        outcome.stderr
    );
}

/// The hours' files below a folder.
fn hours_below(folder: &Path) -> BTreeSet<String> {
    let date = folder.join("source=stock_prices/date=2025-06-02");
    let there = |hour: &String| date.join(hour).join("ticks.csv").is_file();
    let names =
        fs::read_dir(&date).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(there).collect()
}

#[tokio::test]
async fn a_folder_has_no_file_of_an_earlier_export_in_the_range_of_a_later_one() {
    let world = World::create().await;
    half_in_the_lake(&world).await;
    let temp = tempfile::tempdir().unwrap();
    let folder = format!("{}/", temp.path().display());
    world.run_ok(&[&EXPORT[..], &["--output", &folder]].concat()).await;
    let names =
        |hours: &[&str]| hours.iter().map(|hour| format!("hour={hour}")).collect::<BTreeSet<_>>();
    assert_eq!(hours_below(temp.path()), names(&["13", "14"]));
    // Of one hour no tick has such a symbol, and of the other one it is not asked.
    let range = [
        "export",
        "--from",
        "2025-06-02T13",
        "--to",
        "2025-06-02T14",
        "--symbol",
        "NONE",
        "--output",
        &folder,
    ];
    world.run_ok(&range).await;
    assert_eq!(hours_below(temp.path()), names(&["14"]));
    // An hour that cannot be read keeps what it had.
    world.expire(&key(14, 1, 0)).await;
    world.expire(&key(14, 1, 100)).await;
    let outcome = export(&world, &["--output", &folder]).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!(hours_below(temp.path()), names(&["13", "14"]));
}

#[tokio::test]
async fn what_is_no_file_is_written_to_and_not_replaced() {
    let world = World::create().await;
    let ticks = half_in_the_lake(&world).await;
    let temp = tempfile::tempdir().unwrap();
    let pipe = temp.path().join("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for format in ["csv", "parquet"] {
        let from = pipe.clone();
        let reading = tokio::task::spawn_blocking(move || fs::read(from).unwrap());
        world.run_ok(&[&EXPORT[..], &["--format", format, "--output", &pipe]].concat()).await;
        let bytes = reading.await.unwrap();
        match format {
            "csv" => assert_eq!(exported(std::str::from_utf8(&bytes).unwrap()), expected(&ticks)),
            _ => assert!(
                bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"),
                "{} bytes",
                bytes.len()
            ),
        }
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
