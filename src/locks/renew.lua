-- Lengthens a lease for the acquisition that holds it.
--
-- KEYS  1 lease
-- ARGV  1 its value  2 TTL (ms)
-- Returns 1, or 0 where it ended or another holds it
local lease = KEYS[1]
local value, ttl = ARGV[1], ARGV[2]

if redis.call('GET', lease) ~= value then return 0 end
return redis.call('PEXPIRE', lease, ttl)
