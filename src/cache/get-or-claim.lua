-- Reads a value; where it is missing or stale, claims loading it for the caller, unless another node has claimed it.
--
-- KEYS  1 value  2 claim
-- ARGV  1 who asks  2 ms at the end of its life for which it is stale  3 life of the claim (ms)
-- Returns { value or false, ms left of its life, 1 where the caller must load it else 0 }.
local value, claim = KEYS[1], KEYS[2]
local who, staleMs, claimMs = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local text = redis.call('GET', value)
local left = text and redis.call('PTTL', value) or 0
if text and left > staleMs then return { text, left, 0 } end
return { text, left, redis.call('SET', claim, who, 'NX', 'PX', claimMs) and 1 or 0 }
