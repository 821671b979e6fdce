-- Says that a value has been loaded, where it was the caller who loaded it.
--
-- KEYS  1 flight
-- ARGV  1 who loads
-- Returns 1 where it was the caller.
local flight, who = KEYS[1], ARGV[1]
if redis.call('GET', flight) ~= who then return 0 end
return redis.call('DEL', flight)
