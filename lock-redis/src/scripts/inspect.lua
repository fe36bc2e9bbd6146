-- Returns the value of the lock behind a mark, or nothing, the last token, and the records of those who share and of those
-- who wait, each after a word that says which.
local value = redis.call('GET', lock)
local picture = { value and '=' .. value or '', redis.call('GET', fence) or '' }
for _, id in ipairs(redis.call('ZRANGEBYSCORE', sharers, now + 1, '+inf')) do
  picture[#picture + 1] = 'holder'
  picture[#picture + 1] = redis.call('HGET', records, id) or ''
end
for _, id in ipairs(redis.call('ZRANGE', queue, 0, -1)) do
  local r = read(id)
  if r and r.ends > now then
    picture[#picture + 1] = 'waiter'
    picture[#picture + 1] = redis.call('HGET', records, id)
  end
end
return picture
