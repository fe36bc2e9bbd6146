//! What stands in a server, asked of the server itself.

use lock_testkit::Resp;

/// How many hold or wait.
pub(crate) async fn count(resp: &mut Resp) -> usize {
    let keys = resp.command(&["KEYS", "*"]).await;
    let mut count = 0;
    for key in keys.as_slice().unwrap() {
        let key = key.as_str().unwrap();
        let counted = match key.rsplit_once("}:") {
            Some((_, "q" | "s")) => resp.command(&["ZCARD", key]).await.as_int(),
            Some(_) => None,
            None => {
                let value = resp.command(&["GET", key]).await;
                value.as_str().is_some_and(|value| value.starts_with("lh x")).then_some(1)
            }
        };
        count += usize::try_from(counted.unwrap_or(0)).unwrap();
    }
    count
}

/// Takes an entry out behind everybody's back: what an expiry does, at once.
pub(crate) async fn remove(resp: &mut Resp, lock: &str, id: &str) {
    let value = resp.command(&["GET", lock]).await;
    if value.as_str().is_some_and(|value| value.starts_with(&format!("lh x {id}"))) {
        resp.command(&["DEL", lock]).await;
    }
    for (command, what) in [("ZREM", 'q'), ("ZREM", 's'), ("HDEL", 'r')] {
        resp.command(&[command, &format!("{{{lock}}}:{what}"), id]).await;
    }
}

/// How often the server published something.
pub(crate) async fn notifications(resp: &mut Resp) -> usize {
    let stats = resp.command(&["INFO", "commandstats"]).await;
    let calls = |line: &str| {
        let calls = line.strip_prefix("cmdstat_publish:calls=")?.split(',').next()?;
        calls.parse::<usize>().ok()
    };
    stats.as_str().unwrap().lines().find_map(calls).unwrap_or(0)
}
