-- Plans to look after something, on Redis' own clock.
--
-- KEYS  1 looks
-- ARGV  1 member  2 milliseconds from now
local looks, member, delayMs = KEYS[1], ARGV[1], ARGV[2]

local time = redis.call('TIME')
return redis.call('ZADD', looks, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + delayMs), member)
