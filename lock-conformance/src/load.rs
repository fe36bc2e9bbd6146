//! How much a test does.

/// The environment variable that makes tests of many rounds long ones, if it is `1`.
pub const LONG: &str = "LEASEHOLD_LONG";

/// How often something is done: `normal` times, and `long` times in a long run.
#[must_use]
pub fn times(normal: usize, long: usize) -> usize {
    if std::env::var(LONG).is_ok_and(|text| text == "1") { long } else { normal }
}

/// The seed of a run by chance, which is printed.
#[must_use]
pub fn seed() -> u64 {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    seed
}
