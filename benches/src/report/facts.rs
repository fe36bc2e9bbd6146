//! What a choice hangs on that is no number.

type Fact = (&'static str, &'static [(&'static str, &'static str)]);

/// Of each backend by its name.
pub(super) const FACTS: &[Fact] = &[
    (
        "who it is for",
        &[
            ("local", "tasks of one process"),
            ("redis", "processes that have a Redis, and fence what must not break"),
            ("etcd", "processes that need it to hold when servers fail"),
            ("zk", "processes that need it to hold when servers fail"),
        ],
    ),
    (
        "to be run",
        &[
            ("local", "nothing"),
            ("redis", "one server"),
            ("etcd", "three members"),
            ("zk", "three members"),
        ],
    ),
    (
        "a server is lost",
        &[
            ("local", "–"),
            ("redis", "locks of the last moments may be lost with it"),
            ("etcd", "no lock is lost"),
            ("zk", "no lock is lost"),
        ],
    ),
];
