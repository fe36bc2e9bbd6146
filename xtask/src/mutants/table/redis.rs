//! `lock-redis`, and what of the engine only its messages show.

use super::{Mutant, REDIS};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "engine-takes-old-news-for-new",
        file: "lockcore/src/acquisition/look.rs",
        find: "                    Ok(Wake::Granted(_)) if seat.was_asked_again => {}\n",
        replace: "",
        test_target: "faults",
        case: "replies::a_grant_of_a_place_that_is_over_is_not_taken_for_one_of_the_next",
        ..REDIS
    },
    Mutant {
        name: "engine-takes-a-second-place-for-the-first",
        file: "lockcore/src/acquisition.rs",
        find: "                Ok(_) if unknown && self.may_have_ended(seat, first) => {",
        replace: "                Ok(_) if false && self.may_have_ended(seat, first) => {",
        test_target: "faults",
        case: "replies::a_place_that_may_have_ended_before_anything_was_heard_of_it_is_told",
        ..REDIS
    },
    Mutant {
        name: "redis-who-cannot-be-told-is-passed-over",
        file: "lock-redis/src/scripts/queue.lua",
        find: "if mode == 'x' then return not value and kept == 0 end",
        replace: "if mode == 'x' then return not value or value == 'x' end",
        test_target: "faults",
        case: "turns::nobody_goes_before_one_that_cannot_be_told",
        ..REDIS
    },
    Mutant {
        name: "redis-readers-go-before-a-writer-that-cannot-be-told",
        file: "lock-redis/src/scripts/queue.lua",
        find: "      if r.mode == 'x' then value = r.mode end\n",
        replace: "",
        test_target: "faults",
        case: "turns::readers_go_before_no_writer_that_cannot_be_told",
        ..REDIS
    },
    Mutant {
        name: "redis-who-comes-after-a-turn-that-is-kept-is-not-told",
        file: "lock-redis/src/scripts/queue.lua",
        find: "      if till and not me then rouse(kept, deaf) end\n",
        replace: "",
        test_target: "faults",
        case: "processes::a_waiter_that_is_killed_at_the_head_holds_others_up_until",
        ..REDIS
    },
    Mutant {
        name: "redis-who-listens-anew-is-deaf-meanwhile",
        file: "lock-redis/src/inbox.rs",
        find: "                (Heard::Moved, Some(_)) => return,",
        replace: "                (Heard::Moved, Some(_)) => return self.current = None,",
        test_target: "faults",
        case: "turns::who_listens_anew_is_told_meanwhile",
        ..REDIS
    },
    Mutant {
        name: "redis-release-looks-at-no-owner",
        file: "lock-redis/src/scripts/release_queued.lua",
        find: "if value and string.sub(value, 1, 37) == me then",
        replace: "if value then",
        case: "redis::conformance::r05_a_stale_release_frees_nobody",
        ..REDIS
    },
    Mutant {
        name: "redis-renewal-looks-at-no-owner",
        file: "lock-redis/src/scripts/renew.lua",
        find: " and string.sub(value, 1, #owner) == owner then",
        replace: " and owner then",
        case: "a_renewal_extends_nobody_else",
        ..REDIS
    },
    Mutant {
        name: "redis-free-lock-overtakes-the-queue",
        file: "lock-redis/src/scripts/acquire.lua",
        find: "redis.call('EXISTS', KEYS[1], KEYS[2]) == 0",
        replace: "redis.call('EXISTS', KEYS[1]) == 0",
        case: "a_new_client_does_not_overtake_after_an_expiry",
        ..REDIS
    },
    Mutant {
        name: "redis-writer-is-overtaken-by-readers",
        file: "lock-redis/src/scripts/queue.lua",
        find: "    elseif not admits(r.mode, value, kept) then
      if till and not me then rouse(kept, deaf) end
      return mine, till",
        replace: "    elseif not admits(r.mode, value, kept) then
      kept = kept + 1",
        case: "redis::conformance::r10_",
        ..REDIS
    },
    Mutant {
        name: "redis-one-permit-too-many",
        file: "lock-redis/src/scripts/queue.lua",
        find: "redis.call('ZCARD', sharers) + kept < tonumber(string.sub(mode, 2))",
        replace: "redis.call('ZCARD', sharers) + kept <= tonumber(string.sub(mode, 2))",
        case: "redis::conformance::r01_a_semaphore_is_never_exceeded",
        ..REDIS
    },
    Mutant {
        name: "redis-release-hands-over-to-nobody",
        file: "lock-redis/src/scripts/release_queued.lua",
        find: "advance()\n",
        replace: "",
        case: "a_hand_over_needs_no_look",
        ..REDIS
    },
    Mutant {
        name: "redis-waiters-are-not-marked",
        file: "lock-redis/src/scripts/acquire_queued.lua",
        find: "  redis.call('APPEND', lock, ' +')",
        replace: "  redis.call('EXISTS', lock)",
        case: "a_hand_over_needs_no_look",
        ..REDIS
    },
    Mutant {
        name: "redis-fence-starts-anew",
        file: "lock-redis/src/scripts/fence.lua",
        find: "  token = math.max(token, time[1] * 1000000 + time[2])",
        replace: "  token = math.max(token, 5)",
        case: "redis::conformance::r02_tokens_rise_over_a_loss_of_data",
        ..REDIS
    },
    Mutant {
        name: "redis-queued-acquisition-is-not-idempotent",
        file: "lock-redis/src/scripts/acquire_queued.lua",
        find: "if value and string.sub(value, 1, 37) == me then",
        replace: "if value and value == me then",
        case: "redis::conformance::r11_an_unknown_acquisition_is_resolved",
        ..REDIS
    },
    Mutant {
        name: "redis-cap-counts-nobody",
        file: "lock-redis/src/scripts/acquire_queued.lua",
        find: "  if redis.call('ZCARD', queue) > tonumber(wait) then
    forget(id)",
        replace: "  if false then
    forget(id)",
        case: "redis::conformance::r15_waiters_are_capped",
        ..REDIS
    },
    Mutant {
        name: "redis-withdrawn-waiter-holds-others-up",
        file: "lock-redis/src/scripts/release_queued.lua",
        find: "elseif redis.call('ZREM', queue, id) == 1 then
  redis.call('HDEL', records, id)",
        replace: "elseif redis.call('ZREM', queue, id) == 1 then
  redis.call('HDEL', records, id)
  do return 1 end",
        case: "readers_go_when_the_writer_before_them_gives_up",
        ..REDIS
    },
    Mutant {
        name: "redis-kinds-mix",
        file: "lock-redis/src/scripts/acquire_queued.lua",
        find: "if present and kind(present) ~= kind(mode) then",
        replace: "if false then",
        case: "redis::conformance::r01_kinds_do_not_mix",
        ..REDIS
    },
    Mutant {
        name: "redis-dead-sharers-stay",
        file: "lock-redis/src/scripts/queue.lua",
        find: "    over = redis.call('ZRANGEBYSCORE', sharers, '-inf', now)",
        replace: "    over = {}",
        case: "a_dead_sharer_is_pruned",
        ..REDIS
    },
    Mutant {
        name: "redis-messages-are-not-heard",
        file: "lock-redis/src/inbox.rs",
        find: "slot.granted(token) }",
        replace: "drop((slot, token)) }",
        case: "a_hand_over_needs_no_look",
        ..REDIS
    },
    Mutant {
        name: "redis-dead-connection-is-kept",
        file: "lock-redis/src/client.rs",
        find: "            self.client.drop_wire(self.wire);",
        replace: "            let _ = self.wire;",
        case: "redis::conformance::r04_one_failed_renewal_is_no_loss",
        ..REDIS
    },
    Mutant {
        name: "redis-renewals-of-sharers-are-lost",
        file: "lock-redis/src/driver.rs",
        find: "let mut answers: Vec<_> = alone.into_iter().flatten().chain(shared).collect();",
        replace: "let mut answers: Vec<_> = alone.into_iter().flatten().chain(shared.into_iter().take(0)).collect();",
        case: "sharers_and_permits_are_renewed",
        ..REDIS
    },
    Mutant {
        name: "redis-names-are-not-escaped",
        file: "lock-redis/src/keys.rs",
        find: "escape(&mut lock, name.as_str(), b\"._/-\");",
        replace: "lock.push_str(name.as_str());",
        case: "prefixes_are_apart",
        ..REDIS
    },
];
