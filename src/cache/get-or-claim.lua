-- Reads a value; if it is missing or stale, takes the lock for loading it, unless another node holds it.
--
-- KEYS  1 value  2 lock
-- ARGV  1 calling node  2 ms at the end of its life for which it is stale  3 life of the lock (ms)
-- Returns { value or false, ms left of its life, 1 if the caller must load it else 0 }.
local value, lock = KEYS[1], KEYS[2]
local node, staleMs, claimMs = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local text = redis.call('GET', value)
local left = text and redis.call('PTTL', value) or 0
if text and left > staleMs then return { text, left, 0 } end
return { text, left, redis.call('SET', lock, node, 'NX', 'PX', claimMs) and 1 or 0 }
