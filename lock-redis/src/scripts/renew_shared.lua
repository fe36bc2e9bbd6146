-- ARGV: id, TTL. Returns 1 if it was renewed, 0 if it is gone.
prune()
if not redis.call('ZSCORE', sharers, ARGV[1]) then return 0 end
go_on()
local ttl = tonumber(ARGV[2])
redis.call('ZADD', sharers, now + ttl, ARGV[1])
for _, key in ipairs({ lock, sharers, records }) do keep(key, ttl) end
return 1
