//! The ways in which we break the product on purpose, one file for each crate.

mod etcd;
mod local;
mod lockcore;
mod redis;
mod zk;

/// One change to product source that a test must notice.
#[derive(Clone, Copy)]
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// Path from the root of the workspace.
    pub(super) file: &'static str,
    /// Occurs exactly once in the file.
    pub(super) find: &'static str,
    pub(super) replace: &'static str,
    /// Whose tests must notice: package, test target, and a filter for the names of the cases.
    pub(super) package: &'static str,
    pub(super) test_target: &'static str,
    pub(super) case: &'static str,
}

/// What is common to the mutants that the suite on `local:` must notice.
const LOCAL: Mutant = Mutant {
    name: "",
    file: "",
    find: "",
    replace: "",
    package: "lock-local",
    test_target: "it",
    case: "",
};

/// What is common to those that the suite on the fake store must notice: mutants of the engine.
const ENGINE: Mutant = Mutant { package: "lock-conformance", test_target: "fake", ..LOCAL };

/// What is common to those that the suite on a Redis server must notice.
const REDIS: Mutant = Mutant { package: "lock-redis", ..LOCAL };

/// What is common to those that the suite on an etcd server must notice.
const ETCD: Mutant = Mutant { package: "lock-etcd", ..LOCAL };

/// What is common to those that the suite on a ZooKeeper must notice.
const ZK: Mutant = Mutant { package: "lock-zk", ..LOCAL };

/// As a test target: the tests in the package's own files.
pub(super) const LIB: &str = "lib";

/// All of them. One promise is broken by each. Those of one package stand together, because the next
/// mutant builds what the one before it left.
pub(super) fn all() -> Vec<Mutant> {
    [local::MUTANTS, lockcore::MUTANTS, redis::MUTANTS, etcd::MUTANTS, zk::MUTANTS].concat()
}
