-- Adds a dead letter, unless its key is known.
--
-- KEYS  1 dead letters (stream)  2 known keys by time (sorted set)
-- ARGV  1 key of the dead letter  2 max dead letters  3 TTL of a key (s)  4 ... fields and values
-- Returns the id of the dead letter, false if the key is known.
local letters, known = KEYS[1], KEYS[2]
local key, max, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local now = tonumber(redis.call('TIME')[1])
if redis.call('ZADD', known, 'NX', now, key) == 0 then return false end
redis.call('ZREMRANGEBYSCORE', known, '-inf', now - ttl)
redis.call('ZREMRANGEBYRANK', known, 0, -max - 1)
redis.call('EXPIRE', known, ttl)
return redis.call('XADD', letters, 'MAXLEN', '~', max, '*', unpack(ARGV, 4))
