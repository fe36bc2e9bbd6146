-- KEYS, in every script on one name: the lock, the queue, the fence, those who share, the records.

local FENCE_MS, CLOCK_MS = 86400000, 20

-- The next fencing token: one more than the last, and, unless the clock was asked within CLOCK_MS, not
-- less than the server's microseconds. So it rises although the fence was lost or restored from the
-- past: at less than a token a microsecond, the last one is behind the clock. The fence is the last
-- token; how long it still lives says when the clock was asked.
local function next_token()
  local token = redis.call('INCR', KEYS[3])
  if redis.call('PTTL', KEYS[3]) > FENCE_MS - CLOCK_MS then return token end
  local time = redis.call('TIME')
  token = math.max(token, time[1] * 1000000 + time[2])
  redis.call('SET', KEYS[3], string.format('%.0f', token), 'PX', FENCE_MS)
  return token
end
