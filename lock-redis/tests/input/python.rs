//! A Python with redis-py, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{env, thread};

use lock_conformance::time::soon;
use lock_testkit::Redis;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Takes locks with the `Lock` of redis-py, as it is told. Killed when this is dropped.
pub(crate) struct Python {
    child: Child,
    orders: ChildStdin,
    answers: UnboundedReceiver<String>,
}

impl Python {
    /// One that is connected to the server.
    pub(crate) async fn start(server: &Redis) -> Self {
        let mut child = Command::new("python3")
            .args(["-u", "-c", SCRIPT, &server.port().to_string()])
            .env("PYTHONPATH", packages())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`python3` cannot be run: {error}"));
        let (orders, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, answers) = unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut python = Self { child, orders, answers };
        assert_eq!(python.answer().await, "ready");
        python
    }

    /// Takes the lock `key` for so many milliseconds without waiting; whether it got it.
    pub(crate) async fn acquire(&mut self, key: &str, milliseconds: u64) -> bool {
        match self.ask(&format!("acquire {key} {milliseconds}")).await.as_str() {
            "True" => true,
            "False" => false,
            other => panic!("redis-py says {other}"),
        }
    }

    /// Gives back the lock that it took last: `released`, or the name of what was raised.
    pub(crate) async fn release(&mut self) -> String {
        self.ask("release").await
    }

    async fn ask(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> String {
        soon("an answer of redis-py", self.answers.recv()).await.expect("Python lives")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `cargo xtask setup` put redis-py.
fn packages() -> PathBuf {
    let places = match env::var_os("LEASEHOLD_TOOLS") {
        Some(dir) => vec![PathBuf::from(dir)],
        None => {
            let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
            let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
            vec![workspace.join(target).join("tools"), workspace.join("target/tools")]
        }
    };
    let found = places.iter().map(|dir| dir.join("python")).find(|dir| dir.join("redis").is_dir());
    found.unwrap_or_else(|| panic!("redis-py is in none of {places:?}: run `cargo xtask setup`"))
}

const SCRIPT: &str = r#"
import sys
import redis
client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]))
client.ping()
print("ready")
lock = None
for line in sys.stdin:
    words = line.split()
    try:
        if words[0] == "acquire":
            asked = client.lock(words[1], timeout=int(words[2]) / 1000)
            got = asked.acquire(blocking=False)
            lock = asked if got else lock
            print(got)
        else:
            lock.release()
            print("released")
    except redis.exceptions.RedisError as error:
        print(type(error).__name__)
"#;
