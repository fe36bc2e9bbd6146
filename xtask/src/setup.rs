//! Makes sure that what the tests need is there.

use anyhow::{Result, bail};

use crate::sh::Sh;

mod apt;
mod protoc;
mod python;
mod scratch;

pub(crate) fn run() -> Result<()> {
    let mut absent = Vec::new();
    for need in NEEDS {
        if (need.present)() {
            println!("{} … ok", need.what);
        } else {
            absent.push(need);
        }
    }

    // All packages at once: each call of apt takes a lock and reads every list. And first, because
    // the other installers need some of them.
    let packages: Vec<_> = absent.iter().flat_map(|need| need.packages()).copied().collect();
    let mut failures = Vec::new();
    if let Err(error) = apt::install(&packages) {
        failures.push(format!("{error:#}"));
    }
    for need in absent {
        let installed = match need.install {
            Install::Packages(_) => Ok(()),
            Install::Run(install) => install(),
        };
        // The second look counts: an installer that claims success may have put it elsewhere.
        match installed {
            Ok(()) if (need.present)() => println!("{} … installed", need.what),
            Ok(()) => failures.push(format!("{} is missing: {}", need.what, need.how)),
            Err(error) => {
                failures.push(format!("{} is missing: {error:#}: {}", need.what, need.how));
            }
        }
    }
    if !failures.is_empty() {
        bail!("not everything is there:\n  {}", failures.join("\n  "));
    }
    Ok(())
}

/// One thing that must be on the machine.
struct Need {
    what: &'static str,
    present: fn() -> bool,
    install: Install,
    /// What a person has to do when that could not install it.
    how: &'static str,
}

enum Install {
    /// The Debian packages that have it.
    Packages(&'static [&'static str]),
    Run(fn() -> Result<()>),
}

impl Need {
    fn packages(&self) -> &'static [&'static str] {
        match self.install {
            Install::Packages(packages) => packages,
            Install::Run(_) => &[],
        }
    }
}

const NEEDS: &[Need] = &[
    Need {
        what: "rustfmt",
        present: || Sh::cargo(["fmt", "--version"]).succeeds(),
        install: Install::Run(|| Sh::new("rustup", ["component", "add", "rustfmt"]).run()),
        how: "install it with `rustup component add rustfmt`, or the system's package of it",
    },
    Need {
        what: "clippy",
        present: || Sh::cargo(["clippy", "--version"]).succeeds(),
        install: Install::Run(|| Sh::new("rustup", ["component", "add", "clippy"]).run()),
        how: "install it with `rustup component add clippy`, or the system's package of it",
    },
    // Tests start servers with it, so that none outlives a test that was killed; other systems than
    // Linux do not have it.
    Need {
        what: "setpriv",
        present: || !cfg!(target_os = "linux") || Sh::new("setpriv", ["--version"]).succeeds(),
        install: Install::Packages(&["util-linux"]),
        how: "install the package util-linux",
    },
    // Also Sentinel, which is `redis-server --sentinel`.
    Need {
        what: "redis-server",
        present: || Sh::new("redis-server", ["--version"]).succeeds(),
        install: Install::Packages(&["redis-server"]),
        how: "`apt-get install redis-server` on Debian, `dnf install redis` on Fedora, \
              `brew install redis` on macOS",
    },
    // The client of etcd is made from its protocol files when it is compiled.
    Need {
        what: "protoc",
        present: protoc::compiles,
        install: Install::Packages(&["protobuf-compiler", "libprotobuf-dev"]),
        how: "`apt-get install protobuf-compiler libprotobuf-dev` on Debian, \
              `dnf install protobuf-compiler protobuf-devel` on Fedora, `brew install protobuf` on \
              macOS; where PROTOC or PROTOC_INCLUDE is set, it must name a protoc that runs, or the \
              directory with google/protobuf/struct.proto",
    },
    // The older of the two servers that the tests use; cargo brings the newer one.
    Need {
        what: "etcd 3.4",
        present: || {
            Sh::new("sh", ["-c", "etcd --version | grep '^etcd Version: 3[.]4[.]'"]).succeeds()
        },
        install: Install::Packages(&["etcd-server"]),
        how: "`apt-get install etcd-server` on Debian 12 or Ubuntu 24.04; elsewhere put the program \
              `etcd` of any 3.4 in front of others in PATH",
    },
    Need {
        what: "etcdctl",
        present: || Sh::new("etcdctl", ["version"]).env("ETCDCTL_API", "3").succeeds(),
        install: Install::Packages(&["etcd-client"]),
        how: "`apt-get install etcd-client` on Debian; other systems have it beside the server, in \
              the package etcd",
    },
    // With its compiler: tests start programs of one file with Curator.
    Need {
        what: "java",
        present: || {
            Sh::new("sh", ["-c", "java --list-modules | grep '^jdk[.]compiler@'"]).succeeds()
        },
        install: Install::Packages(&["default-jdk-headless"]),
        how: "`apt-get install default-jdk-headless` on Debian, `dnf install java-17-openjdk-devel` on \
              Fedora; `java` must be one of a JDK, 11 or later",
    },
    // The classes alone: the package zookeeper has scripts besides, which nothing here uses, and
    // brings a Java with windows.
    Need {
        what: "ZooKeeper 3.8",
        present: || Sh::new("sh", ["-c", ZOOKEEPER_VERSION]).succeeds(),
        install: Install::Packages(&["libzookeeper-java"]),
        how: "`apt-get install libzookeeper-java` on Debian 12; elsewhere /usr/share/java must have \
              zookeeper.jar of any 3.8, slf4j-simple.jar, netty-codec.jar and netty-resolver.jar",
    },
    Need {
        what: "Curator",
        present: || Sh::new("javap", ["-cp", CURATOR, CURATOR_LOCK]).succeeds(),
        install: Install::Packages(&["libcurator-recipes-java"]),
        how: "`apt-get install libcurator-recipes-java` on Debian; elsewhere /usr/share/java must have \
              curator-recipes.jar with all it needs",
    },
    // Steps the wall clocks of servers and workers while they run.
    Need {
        what: "libfaketime",
        present: || Sh::new("sh", ["-c", FAKETIME]).succeeds(),
        install: Install::Packages(&["libfaketime"]),
        how: "`apt-get install libfaketime` on Debian; elsewhere the C library must find \
              /usr/$LIB/faketime/libfaketime.so.1",
    },
    // The python of the system, as the package is for that.
    Need {
        what: "kazoo",
        present: || Sh::new("/usr/bin/python3", ["-c", "import kazoo.recipe.lock"]).succeeds(),
        install: Install::Packages(&["python3-kazoo"]),
        how: "`apt-get install python3-kazoo` on Debian; elsewhere `/usr/bin/python3` must be able to \
              import kazoo",
    },
    Need {
        what: "pip",
        present: || Sh::new("python3", ["-m", "pip", "--version"]).succeeds(),
        install: Install::Packages(&["python3-pip"]),
        how: "`apt-get install python3-pip` on Debian, `dnf install python3-pip` on Fedora, \
              `brew install python` on macOS; `python3 -m pip` must run",
    },
    Need {
        what: "valkey-server",
        present: python::has_valkey,
        install: Install::Run(python::install_valkey),
        how: "put the program valkey-server 9 into `tools` of the target directory; Fedora has it \
              in the package valkey, macOS in `brew install valkey`",
    },
    Need {
        what: "redis-py",
        present: python::has_redis_py,
        install: Install::Run(python::install_redis_py),
        how: "install it with `python3 -m pip install --target target/tools/python redis==5.2.1`, where \
              `target` is the target directory",
    },
];

const ZOOKEEPER_VERSION: &str = "test -f /usr/share/java/slf4j-simple.jar && \
    test -f /usr/share/java/netty-codec.jar && java -cp /usr/share/java/zookeeper.jar \
    org.apache.zookeeper.version.VersionInfoMain | grep 'version 3[.]8[.]'";
/// The year that a program sees.
const FAKETIME: &str = "test $(LD_PRELOAD='/usr/$LIB/faketime/libfaketime.so.1' \
    FAKETIME='@2001-01-01 00:00:00' date +%Y) = 2001";
const CURATOR: &str = "/usr/share/java/curator-recipes.jar";
const CURATOR_LOCK: &str = "org.apache.curator.framework.recipes.locks.InterProcessMutex";
