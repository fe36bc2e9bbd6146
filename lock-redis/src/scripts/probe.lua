-- KEYS: those of a name that nobody uses. ARGV: a channel that nobody listens to.
-- Does all that the other scripts do, and leaves nothing: a user who lacks a permission, or a server
-- that takes no writes, is found out at connect and not in the middle of a hand-over.

local lock, queue, fence, sharers, records = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local failure

-- Not every server says which command it refuses.
local function try(name, ...)
  local answer = redis.pcall(name, ...)
  if not failure and type(answer) == 'table' and answer.err then
    failure = string.gsub(answer.err, '^%-', '') .. ': ' .. name
  end
end

try('TIME')
-- First: a server that has reached its `maxmemory` lets go on whoever has begun to write.
try('DEL', lock)
try('EXISTS', lock)
try('SET', fence, '0', 'PX', 1000)
try('INCR', fence)
try('APPEND', lock, 'x')
try('GET', lock)
try('PTTL', lock)
try('PEXPIRE', lock, 1000)
try('PEXPIREAT', lock, 9999999999999)
try('ZADD', queue, 1, 'x')
try('ZRANGE', queue, 0, 0)
try('ZRANGEBYSCORE', queue, 0, 1)
try('ZSCORE', queue, 'x')
try('ZRANK', queue, 'x')
try('ZCARD', queue)
try('ZREM', queue, 'x')
try('HSET', records, 'x', 'x')
try('HGET', records, 'x')
try('HDEL', records, 'x')
try('PUBLISH', ARGV[1], 'x')
try('DEL', lock, queue, fence, sharers, records)
if failure then return { err = failure } end
return 1
