-- Releases the leader lease if the caller still holds it.
--
-- KEYS  1 lease
-- ARGV  1 consumer
-- Returns 1 if it was released.
local lease, consumer = KEYS[1], ARGV[1]
if redis.call('GET', lease) ~= consumer then return 0 end
return redis.call('DEL', lease)
