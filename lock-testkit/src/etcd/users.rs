//! Users and what they may do.

use serde_json::json;

use crate::etcd::call::ROOT;
use crate::etcd::gateway::{EtcdError, encode};
use crate::etcd::options::Permission;
use crate::etcd::server::Etcd;
use crate::etcd::store::range_end;
use crate::redis_options::OBSERVER;

/// Users of a server that was started with [`user`](crate::EtcdOptions::user). The rights of each
/// are in a role of the user's name. Each panics when the server refuses, or does not reply within
/// ten seconds. Who does not wait for it does not know whether it was done.
impl Etcd {
    /// Adds a user without any right.
    pub async fn add_user(&self, name: &str, password: &str) {
        self.must("/v3/auth/user/add", json!({"name": name, "password": password})).await;
        self.must("/v3/auth/role/add", json!({"name": name})).await;
        self.grant_role(name).await;
    }

    /// Removes a user, whose tokens are void from then on.
    pub async fn remove_user(&self, name: &str) {
        self.must("/v3/auth/user/delete", json!({"name": name})).await;
    }

    /// Gives a user a password, and makes the tokens it has void. It may be the password it has.
    pub async fn change_password(&self, name: &str, password: &str) {
        self.must("/v3/auth/user/changepw", json!({"name": name, "password": password})).await;
    }

    /// Takes all rights from a user, until [`grant_role`](Etcd::grant_role).
    pub async fn revoke_role(&self, name: &str) {
        self.must("/v3/auth/user/revoke", json!({"name": name, "role": name})).await;
    }

    /// Gives a user the rights back that [`revoke_role`](Etcd::revoke_role) took.
    pub async fn grant_role(&self, name: &str) {
        self.must("/v3/auth/user/grant", json!({"user": name, "role": name})).await;
    }

    /// Lets a user do this with the keys that begin with `prefix`.
    pub async fn grant_permission(&self, name: &str, prefix: &str, permission: Permission) {
        let first = if prefix.is_empty() { &[0] } else { prefix.as_bytes() };
        let permission = json!({
            "permType": permission.name(),
            "key": encode(first),
            "range_end": encode(range_end(prefix.as_bytes())),
        });
        self.must("/v3/auth/role/grant", json!({"name": name, "perm": permission})).await;
    }

    /// Takes from a user what [`grant_permission`](Etcd::grant_permission) gave for this prefix.
    pub async fn revoke_permission(&self, name: &str, prefix: &str) {
        let first = if prefix.is_empty() { &[0] } else { prefix.as_bytes() };
        let body = json!({
            "role": name,
            "key": encode(first),
            "range_end": encode(range_end(prefix.as_bytes())),
        });
        self.must("/v3/auth/role/revoke", body).await;
    }

    pub(crate) async fn set_up_users(&self) {
        let users = &self.options_used().users;
        if users.is_empty() {
            return;
        }
        self.add_user(ROOT, OBSERVER).await;
        for user in users {
            self.add_user(&user.name, &user.password).await;
            for (prefix, permission) in &user.rights {
                self.grant_permission(&user.name, prefix, *permission).await;
            }
        }
        self.must("/v3/auth/enable", json!({})).await;
    }
}

impl EtcdError {
    /// Whether rights have changed since the token was given.
    pub(crate) fn is_old_token(&self) -> bool {
        self.message().contains("revision in auth store is old")
            || self.message().contains("auth: revision in header is old")
    }
}
