local me, id = string.sub(ARGV[1], 1, 37), string.sub(ARGV[1], 6, 37)

-- Somebody put something that is no string under the name: nobody of ours holds it any more.
if type(held) == 'table' then
  local was_waiting = redis.call('ZREM', queue, id)
  redis.call('ZREM', sharers, id)
  redis.call('HDEL', records, id)
  return was_waiting
end

local value = prune()
if value and string.sub(value, 1, 37) == me then
  redis.call('DEL', lock)
elseif redis.call('ZREM', sharers, id) == 1 then
  redis.call('HDEL', records, id)
  local last = redis.call('ZRANGE', sharers, -1, -1, 'WITHSCORES')[2]
  if last then redis.call('PEXPIREAT', lock, last) else redis.call('DEL', lock) end
elseif redis.call('ZREM', queue, id) == 1 then
  redis.call('HDEL', records, id)
else
  return 0
end
advance()
return 1
