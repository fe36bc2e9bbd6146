-- ARGV: value for a lock held alone, TTL, 'x' if it is to be held alone and was not asked for before,
-- and the rest, which a free lock does not need: mode, how to wait ('try', 'check', or the cap of the
-- queue), channel, whether the channel's listeners can be counted.
-- Returns the token; 0 if busy; below 0 if queued: minus the milliseconds until it is worth to look
-- again, or -1; or a word.

if ARGV[3] == 'x' and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then
  local token = next_token()
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return token
end
