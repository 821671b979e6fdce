-- Keeps a dead letter once.
--
-- KEYS  1 dead letters  2 keys of letters kept, by time
-- ARGV  1 key of the letter  2 most letters  3 seconds a key is remembered  4 ... fields and values
-- Returns the letter's id, false where it was kept before.
local letters, known = KEYS[1], KEYS[2]
local key, most, remembered = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local now = tonumber(redis.call('TIME')[1])
if redis.call('ZADD', known, 'NX', now, key) == 0 then return false end
redis.call('ZREMRANGEBYSCORE', known, '-inf', now - remembered)
redis.call('ZREMRANGEBYRANK', known, 0, -most - 1)
redis.call('EXPIRE', known, remembered)
return redis.call('XADD', letters, 'MAXLEN', '~', most, '*', unpack(ARGV, 4))
