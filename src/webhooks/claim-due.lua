-- Takes what is due to be looked after, for a while: who claims it and dies leaves it to the next.
--
-- KEYS  1 what is looked after, by when (sorted set)
-- ARGV  1 most to take  2 ms until another may take them
-- Returns the members taken.
local looks, most, claimMs = KEYS[1], ARGV[1], tonumber(ARGV[2])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', looks, '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
for _, member in ipairs(due) do redis.call('ZADD', looks, string.format('%.0f', now + claimMs), member) end
return due
