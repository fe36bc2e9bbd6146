-- KEYS: locks held alone. ARGV: for each the beginning of its value, and its TTL.
-- Returns 1 for each that was renewed, and 0 for each that is not ours.
local renewed = {}
for i, key in ipairs(KEYS) do
  local owner = ARGV[2 * i - 1]
  local value = redis.pcall('GET', key)
  if type(value) == 'string' and string.sub(value, 1, #owner) == owner then
    renewed[i] = redis.call('PEXPIRE', key, ARGV[2 * i])
  else
    renewed[i] = 0
  end
end
return renewed
