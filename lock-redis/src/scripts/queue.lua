-- Who stands under a name. The value of the lock says who holds it:
--   lh x ID SINCE LABEL      one alone; with ' +' at the end once somebody waits
--   lh s                     those who share
--   lh pN                    those who have one of N permits
--   anything else            a client of another kind, which holds it alone
-- The queue has the ids of those who wait, by arrival; `sharers` those who share or have a permit,
-- by the end of their TTL. Their records are: END MODE TTL CHANNEL COUNTED TOKEN SINCE LABEL.

local lock, queue, fence, sharers, records = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function read(id)
  local record = redis.call('HGET', records, id)
  if not record then return nil end
  local ends, mode, ttl, channel, counted, token, rest =
    string.match(record, '^(%d+) (%w+) (%d+) (%S+) (%d) (%d+) (.*)$')
  if not ends then return nil end
  return { ends = tonumber(ends), mode = mode, ttl = tonumber(ttl), channel = channel,
           counted = counted, token = token, rest = rest }
end

local function write(id, r)
  redis.call('HSET', records, id, string.format('%.0f %s %.0f %s %s %s %s',
    r.ends, r.mode, r.ttl, r.channel, r.counted, r.token, r.rest))
end

local function forget(id)
  redis.call('ZREM', queue, id)
  redis.call('HDEL', records, id)
end

-- Lets a key live for this long at the least.
local function keep(key, ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end

-- Comes before the writes for those who stand there already: a server that has reached its
-- `maxmemory` refuses to begin with a write that takes memory, and lets go on whoever has begun.
local function go_on()
  redis.call('ZREM', sharers, '')
end

-- Exactly: another client's value is never taken for ours because it begins alike.
local function is_shared(value)
  return value and (value == 'lh s' or string.find(value, '^lh p%d+$') ~= nil)
end

local function is_alone(value)
  return value and string.find(value, '^lh x ' .. string.rep('%x', 32) .. ' %d+ ') ~= nil
end

-- Takes out sharers whose TTL is over, and all of them when the lock is not theirs any more.
-- Returns the value of the lock.
local function prune()
  local value = redis.call('GET', lock)
  local over
  if is_shared(value) then
    over = redis.call('ZRANGEBYSCORE', sharers, '-inf', now)
  else
    over = redis.call('ZRANGE', sharers, 0, -1)
  end
  for _, id in ipairs(over) do
    redis.call('ZREM', sharers, id)
    redis.call('HDEL', records, id)
  end
  if is_shared(value) and redis.call('EXISTS', sharers) == 0 then
    redis.call('DEL', lock)
    value = false
  end
  return value
end

-- The rule: whether the next one may go, in this mode, beside those who hold the lock and so many
-- before it who keep their turn.
local function admits(mode, value, kept)
  if mode == 'x' then return not value and kept == 0 end
  if value and value ~= 'lh ' .. mode then return false end
  return mode == 's' or redis.call('ZCARD', sharers) + kept < tonumber(string.sub(mode, 2))
end

-- Makes the waiter a holder, and returns the value of the lock.
local function grant(id, r, token)
  local value
  redis.call('ZREM', queue, id)
  if r.mode == 'x' then
    redis.call('HDEL', records, id)
    value = 'lh x ' .. id .. ' ' .. r.rest
    if redis.call('EXISTS', queue) == 1 then value = value .. ' +' end
    redis.call('SET', lock, value, 'PX', r.ttl)
  else
    value = 'lh ' .. r.mode
    redis.call('SET', lock, value, 'PX', math.max(redis.call('PTTL', lock), r.ttl))
    redis.call('ZADD', sharers, now + r.ttl, id)
    r.token = token
    write(id, r)
    keep(sharers, r.ttl)
    keep(records, r.ttl)
  end
  return value
end

-- Lets the first one look that hears it, from this place in the queue on.
local function rouse(place, deaf)
  while true do
    local id = redis.call('ZRANGE', queue, place, place)[1]
    local r = id and read(id)
    if not r then return end
    if not deaf[r.channel] and redis.call('PUBLISH', r.channel, id .. ' 1') > 0 then return end
    deaf[r.channel] = true
    place = place + 1
  end
end

-- Lets go whoever may, and tells them; returns the token of `me`, if `me` is among them, and when the
-- first of the turns ends that are kept. Who has died is skipped. Whose client does not listen keeps
-- its turn as long as its place lasts: it looks when it listens again, and who comes next looks when
-- that is over. A client that has died leaves many waiters: it is tried once, and the token that
-- nobody heard of is for the next one.
local function advance(me)
  local value, kept, deaf, token, mine, till = prune(), 0, {}, nil, nil, nil
  while true do
    local id = redis.call('ZRANGE', queue, kept, kept)[1]
    if not id then return mine, till end
    local r = read(id)
    if not r or (r.ends <= now and id ~= me) then
      forget(id)
    elseif not admits(r.mode, value, kept) then
      if till and not me then rouse(kept, deaf) end
      return mine, till
    elseif id ~= me and deaf[r.channel] then
      kept, till = kept + 1, math.min(till or r.ends, r.ends)
      -- Nobody goes beside it.
      if r.mode == 'x' then value = r.mode end
    else
      token = token or string.format('%.0f', next_token())
      if id == me then mine = token end
      if id == me or redis.call('PUBLISH', r.channel, id .. ' ' .. token) > 0
        or r.counted == '0' then
        value = grant(id, r, token)
        token = nil
      else
        deaf[r.channel] = true
      end
    end
  end
end
