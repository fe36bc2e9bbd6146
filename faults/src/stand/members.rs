//! What can be done to a store of several members, whichever it is.

use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use fastrand::Rng;
use futures_util::future::join_all;
use lock_testkit::{EtcdCluster, Proxy, ZkEnsemble};
use tokio::time::sleep;

use crate::fault::Fault;

/// Members that know each other by numbers from 0.
#[async_trait]
pub(crate) trait Members: Send + Sync {
    fn count(&self) -> usize;
    fn pause(&self, member: usize);
    fn resume(&self, member: usize);
    fn kill(&self, member: usize);
    async fn restart(&self, member: usize);
    fn partition(&self, member: usize);
    fn heal(&self, member: usize);
    async fn leader(&self) -> usize;
    async fn leader_other_than(&self, old: usize) -> usize;

    /// All ways from one to another.
    fn links(&self, from: usize, to: usize) -> Vec<&Proxy>;
}

/// Does one of the faults of members.
pub(crate) async fn strike(
    members: &dyn Members,
    fault: Fault,
    form: &str,
    ttl: Duration,
    rng: &mut Rng,
) -> Result<String> {
    match fault {
        Fault::ServerPaused => Ok(pauses(members, form, ttl, rng).await),
        Fault::ServerKilled => Ok(kills(members, form, ttl, rng).await),
        Fault::LeaderCut => Ok(breaks_the_leader(members, form, ttl * 3 / 2, rng).await),
        _ => bail!("BUG: {fault} is not of members"),
    }
}

fn chosen(members: &dyn Members, form: &str, rng: &mut Rng) -> Vec<usize> {
    match form {
        "all members" => (0..members.count()).collect(),
        _ => vec![rng.usize(..members.count())],
    }
}

async fn pauses(members: &dyn Members, form: &str, ttl: Duration, rng: &mut Rng) -> String {
    let chosen = chosen(members, form, rng);
    chosen.iter().for_each(|member| members.pause(*member));
    sleep(ttl).await;
    chosen.iter().for_each(|member| members.resume(*member));
    format!("{} stood still", chosen.len())
}

async fn kills(members: &dyn Members, form: &str, ttl: Duration, rng: &mut Rng) -> String {
    let chosen = chosen(members, form, rng);
    chosen.iter().for_each(|member| members.kill(*member));
    sleep(ttl / 4).await;
    // One alone of several cannot serve.
    join_all(chosen.iter().map(|member| members.restart(*member))).await;
    format!("{} killed", chosen.len())
}

async fn breaks_the_leader(
    members: &dyn Members,
    form: &str,
    long: Duration,
    rng: &mut Rng,
) -> String {
    let leader = members.leader().await;
    match form {
        "paused" => {
            members.pause(leader);
            let next = members.leader_other_than(leader).await;
            sleep(long).await;
            members.resume(leader);
            format!("member {next} follows {leader} as the leader")
        }
        "cut off" => {
            members.partition(leader);
            let next = members.leader_other_than(leader).await;
            sleep(long).await;
            members.heal(leader);
            format!("member {next} follows {leader} as the leader")
        }
        "minority" => {
            let member = (leader + 1) % members.count();
            members.partition(member);
            sleep(long).await;
            members.heal(member);
            format!("member {member} was alone")
        }
        _ => {
            let pairs = (0..members.count())
                .flat_map(|from| (0..members.count()).map(move |to| (from, to)))
                .filter(|(from, to)| from != to);
            let mut links: Vec<_> = pairs.map(|(from, to)| members.links(from, to)).collect();
            rng.shuffle(&mut links);
            for ways in &links {
                ways.iter().for_each(|way| way.stall(true, true));
                sleep(long / 12).await;
            }
            links.iter().flatten().for_each(|way| way.stall(false, false));
            format!("{} links", links.len())
        }
    }
}

#[async_trait]
impl Members for EtcdCluster {
    fn count(&self) -> usize {
        self.len()
    }

    fn pause(&self, member: usize) {
        self.member(member).pause();
    }

    fn resume(&self, member: usize) {
        self.member(member).resume();
    }

    fn kill(&self, member: usize) {
        self.member(member).kill();
    }

    async fn restart(&self, member: usize) {
        self.member(member).restart().await;
    }

    fn partition(&self, member: usize) {
        self.partition(member);
    }

    fn heal(&self, member: usize) {
        self.heal(member);
    }

    async fn leader(&self) -> usize {
        self.leader().await
    }

    async fn leader_other_than(&self, old: usize) -> usize {
        self.leader_other_than(old).await
    }

    fn links(&self, from: usize, to: usize) -> Vec<&Proxy> {
        vec![self.link(from, to)]
    }
}

#[async_trait]
impl Members for ZkEnsemble {
    fn count(&self) -> usize {
        self.len()
    }

    fn pause(&self, member: usize) {
        self.pause(member);
    }

    fn resume(&self, member: usize) {
        self.resume(member);
    }

    fn kill(&self, member: usize) {
        self.kill(member);
    }

    async fn restart(&self, member: usize) {
        self.restart(member).await;
    }

    fn partition(&self, member: usize) {
        self.partition(member);
    }

    fn heal(&self, member: usize) {
        self.heal(member);
    }

    async fn leader(&self) -> usize {
        self.leader().await
    }

    async fn leader_other_than(&self, old: usize) -> usize {
        self.leader_other_than(old).await
    }

    fn links(&self, from: usize, to: usize) -> Vec<&Proxy> {
        vec![self.link(from, to), self.election_link(from, to)]
    }
}
