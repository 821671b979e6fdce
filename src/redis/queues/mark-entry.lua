-- Counts one more delivery of a pending entry, before it is processed.
--
-- KEYS  1 stream  2 lease
-- ARGV  1 group  2 consumer  3 entry
-- Returns 1, or 0 if another consumer holds the lease.
local stream, lease = KEYS[1], KEYS[2]
local group, consumer, id = ARGV[1], ARGV[2], ARGV[3]

if redis.call('GET', lease) ~= consumer then return 0 end
redis.call('XCLAIM', stream, group, consumer, 0, id)
return 1
