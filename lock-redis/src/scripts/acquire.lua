-- ARGV: value for a lock held alone, TTL, mode, how to wait ('try', 'check', or the cap of the
-- queue), channel, whether the channel's listeners can be counted.
-- Returns the token; 0 if busy; below 0 if queued: minus the milliseconds until it is worth to look
-- again, or -1; or a word.

if ARGV[3] == 'x' and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 and ARGV[4] ~= 'check' then
  local token = next_token()
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return tonumber(token)
end
