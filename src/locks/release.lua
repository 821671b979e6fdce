-- Ends a lease for the acquisition that holds it, and for no other.
--
-- KEYS  1 lease
-- ARGV  1 its value
-- Returns 1, or 0 where it had ended already
local lease = KEYS[1]
local value = ARGV[1]

if redis.call('GET', lease) ~= value then return 0 end
return redis.call('DEL', lease)
