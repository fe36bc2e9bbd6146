//! What only ZooKeeper has.
