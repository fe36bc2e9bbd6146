-- KEYS, in every script on one name: the lock, the queue, the fence, those who share, the records.

local FENCE_MS = 86400000

-- The next fencing token: the server's microseconds, or one more than the last token if the clock
-- has not gone on since. So it rises although the fence itself was lost, or restored from the past.
local function next_token()
  local time = redis.call('TIME')
  local token = string.format('%d%06d', time[1], time[2])
  local last = redis.call('SET', KEYS[3], token, 'PX', FENCE_MS, 'GET')
  last = last and tonumber(last)
  if last and last >= tonumber(token) then
    token = string.format('%.0f', last + 1)
    redis.call('SET', KEYS[3], token, 'PX', FENCE_MS)
  end
  return token
end
