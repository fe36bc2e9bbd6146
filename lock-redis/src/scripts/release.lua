-- ARGV: value for a lock held alone. Returns 1 if the entry was there, as a holder or a waiter.

local held = redis.pcall('GET', KEYS[1])
if held == ARGV[1] then return redis.call('DEL', KEYS[1]) end
