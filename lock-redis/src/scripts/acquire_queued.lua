local me, id, rest = string.sub(ARGV[1], 1, 37), string.sub(ARGV[1], 6, 37), string.sub(ARGV[1], 39)
local ttl = tonumber(ARGV[2])
local mode, wait, channel, counted = string.match(ARGV[4], '^(%w+) (%w+) (%S+) (%d)$')

local value = prune()

-- Asked before, and granted: the TTL begins anew.
if value and string.sub(value, 1, 37) == me then
  redis.call('PEXPIRE', lock, ttl)
  return tonumber(redis.call('GET', fence) or next_token())
end
local mine = read(id)
if mine then go_on() end
if mine and redis.call('ZSCORE', sharers, id) then
  redis.call('ZADD', sharers, now + ttl, id)
  for _, key in ipairs({ lock, sharers, records }) do keep(key, ttl) end
  return tonumber(mine.token)
end

local is_new = not (mine and redis.call('ZSCORE', queue, id))
if is_new then
  if wait == 'check' then return 'gone' end
  local present = value and (is_shared(value) and string.sub(value, 4) or 'x')
  if not present then
    local head = redis.call('ZRANGE', queue, 0, 0)[1]
    local r = head and read(head)
    present = r and r.mode
  end
  local function kind(of) return string.sub(of, 1, 1) == 'p' and of or 'x' end
  if present and kind(present) ~= kind(mode) then return 'mixed ' .. present end
  if wait == 'try' and not admits(mode, value, 0) then return 0 end
  local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
  redis.call('ZADD', queue, (last or 0) + 1, id)
  mine = { mode = mode, ttl = ttl, channel = channel, counted = counted, token = '0', rest = rest }
end
mine.ends = now + ttl
write(id, mine)
keep(queue, ttl)
keep(records, ttl)

local token, till = advance(id)
if token then return tonumber(token) end
if wait == 'try' then
  forget(id)
  return 0
end
if is_new and redis.call('ZCARD', queue) > tonumber(wait) then
  for _, other in ipairs(redis.call('ZRANGE', queue, 0, -1)) do
    local r = read(other)
    if not r or r.ends <= now then forget(other) end
  end
  if redis.call('ZCARD', queue) > tonumber(wait) then
    forget(id)
    return 'full'
  end
end

-- The holder's release has to look at the queue from now on.
value = redis.call('GET', lock)
if is_alone(value) and string.sub(value, -2) ~= ' +' then
  redis.call('APPEND', lock, ' +')
end
-- The first few look when the holder's TTL is over, one after the other; so do all when a turn ends
-- that is kept.
local rank, left = redis.call('ZRANK', queue, id), -1
if rank < 8 then
  left = redis.call('PTTL', lock)
  if is_shared(value) and value ~= 'lh s' then
    left = redis.call('ZRANGE', sharers, 0, 0, 'WITHSCORES')[2] - now
  end
end
if till and (left < 0 or till - now < left) then left = till - now end
if left < 0 then return -1 end
return -(left + 20 + 50 * rank)
