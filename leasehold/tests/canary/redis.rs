//! Passwords of Redis.

use lock_redis::RedisConfig;
use lock_testkit::{Flavour, Port, Redis, TlsOptions};

use crate::watch::Canary;
use crate::{are_refused, fails_quietly, is_not_printed, work};

#[tokio::test]
async fn a_password_of_redis_is_not_shown() {
    let canary = Canary::new();
    let secret = canary.secret();
    let user = format!("worker on >{secret} ~* &* +@all");
    let (server, other, tls) = tokio::join!(
        Redis::options(Flavour::Redis).user(&user).start(),
        Redis::options(Flavour::Redis).password("another").start(),
        Redis::options(Flavour::Redis).tls(TlsOptions::new()).start(),
    );
    let down = Port::claim();
    let (port, other, tls, down) = (server.port(), other.port(), tls.port(), down.number());
    are_refused(
        &canary,
        &[
            format!("redis://:{secret}@127.0.0.1:{other}"),
            format!("redis://nobody:{secret}@127.0.0.1:{port}"),
            format!("redis://worker:{secret}@127.0.0.1:{down}"),
            format!("rediss://worker:{secret}@127.0.0.1:{port}"),
            format!("redis://worker:{secret}@127.0.0.1:{tls}"),
            format!("rediss://worker:{secret}@localhost:{tls}"),
            format!("redis+sentinel://127.0.0.1:{other}/m?sentinel_password={secret}"),
            format!("redis+cluster://worker:{secret}@127.0.0.1:{port},127.0.0.1:{down}"),
            format!("redis://worker:{secret}@127.0.0.1:{port}/x"),
            format!("redis://worker:{secret}@127.0.0.1:{port}?ttl=soon"),
            format!("redis://{secret}@127.0.0.1:{port}"),
        ],
    )
    .await;
    let config = RedisConfig::single("127.0.0.1", port).login(Some("worker"), secret);
    is_not_printed(&canary, &config);
    let lock = config.connect().await.unwrap();
    is_not_printed(&canary, &lock);

    let url = format!("redis://worker:{secret}@127.0.0.1:{port}?request_timeout=1s&ttl=2s");
    let other = leasehold::connect(&url).await.unwrap();
    let guard = work(&canary, &leasehold::Locks::new(lock), &other).await;
    let mut resp = server.resp().await;
    for command in [&["ACL", "DELUSER", "worker"][..], &["CLIENT", "KILL", "USER", "worker"]] {
        resp.command(command).await;
    }
    fails_quietly(&canary, &other, guard).await;
    canary.was_kept(&["lockcore", "rustls"]);
}
