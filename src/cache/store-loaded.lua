-- Ends the loading of a value: keeps it, and gives up the caller's claim in the same step.
--
-- KEYS  1 value  2 claim
-- ARGV  1 who has loaded it  2 its life (ms), '0' where there is nothing to keep  3 the value
-- Returns 1 where the claim was the caller's.
local value, claim = KEYS[1], KEYS[2]
local who, lifeMs, text = ARGV[1], ARGV[2], ARGV[3]

if lifeMs ~= '0' then redis.call('SET', value, text, 'PX', lifeMs) end
if redis.call('GET', claim) ~= who then return 0 end
return redis.call('DEL', claim)
