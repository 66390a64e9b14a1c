//! Runs a test over every image.

use std::io::Write as _;

use baton_images::image::{folders, Image};

/// Calls `test` with each image that is there. Without any, says so past the test harness, which
/// would keep it to itself; fails if there must be some.
pub fn for_each_image(name: &str, test: impl Fn(&Image)) {
    let folders = folders().unwrap();
    if folders.is_empty() {
        let _ = writeln!(
            std::io::stderr(),
            "test {name} ... SKIPPED: no memory images; `cargo xtask images --check` makes them"
        );
    }
    for folder in folders {
        let image = Image::open(&folder).unwrap();
        println!("{name}: {}", image.release);
        test(&image);
    }
}

/// Fails with all of `problems`, the first of many.
#[allow(dead_code, reason = "not every test collects problems")]
pub fn none(image: &Image, problems: &[String]) {
    let few: Vec<&str> = problems.iter().take(20).map(String::as_str).collect();
    assert!(
        problems.is_empty(),
        "{}: {} problems:\n{}",
        image.release,
        problems.len(),
        few.join("\n")
    );
}
