-- Gives up the turn, where it still is the caller's.
--
-- KEYS  1 lease
-- ARGV  1 consumer
-- Returns 1 where it was given up.
local lease, consumer = KEYS[1], ARGV[1]
if redis.call('GET', lease) ~= consumer then return 0 end
return redis.call('DEL', lease)
