-- Adds an entry to a list whose entries expire.
--
-- KEYS  1 names (sorted set, all of score 0)  2 expiry (sorted set)
-- ARGV  1 name  2 TTL (s), '' for none
local names, expiry = KEYS[1], KEYS[2]
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', names, 0, ARGV[1])
if ARGV[2] == '' then redis.call('ZREM', expiry, ARGV[1])
else redis.call('ZADD', expiry, now + ARGV[2], ARGV[1]) end
local expired = redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, 100)
if #expired > 0 then
  redis.call('ZREM', names, unpack(expired))
  redis.call('ZREM', expiry, unpack(expired))
end
return 1
