-- Takes a lease where nobody holds it, and gives the acquisition a number greater than any before.
--
-- The number grows by one, and is never below the milliseconds of Redis' clock: so it goes on growing where the counter
-- was lost with the store, and where the clock went back.
--
-- KEYS  1 lease (string '<fence>:<node>')  2 fence (the last number given)
-- ARGV  1 node  2 TTL (ms)
-- Returns { fence, 0 }, or { 0, ms for which the holder's lease stands unless it is renewed } where it is taken
local lease, counter = KEYS[1], KEYS[2]
local node, ttl = ARGV[1], ARGV[2]

if redis.call('EXISTS', lease) == 1 then return { 0, redis.call('PTTL', lease) } end

local time = redis.call('TIME')
local last = tonumber(redis.call('GET', counter)) or 0
local fence = math.max(last + 1, time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('SET', counter, string.format('%.0f', fence))
redis.call('SET', lease, string.format('%.0f:%s', fence, node), 'PX', ttl)
return { fence, 0 }
