-- Takes what is due to be looked after, for a while: who claims it and dies leaves it to the next.
--
-- KEYS  1 looks
-- ARGV  1 most to take  2 milliseconds until another may take them
-- Returns { members taken, milliseconds until the next is due }, the latter only where something is planned.
local looks, most, graceMs = KEYS[1], ARGV[1], ARGV[2]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', looks, '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
for _, member in ipairs(due) do redis.call('ZADD', looks, string.format('%.0f', now + graceMs), member) end

local first = redis.call('ZRANGE', looks, 0, 0, 'WITHSCORES')
if not first[2] then return { due } end
return { due, math.max(first[2] - now, 0) }
