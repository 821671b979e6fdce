-- Takes what is due, for a while: a node that claims it and dies leaves it to the next.
--
-- KEYS  1 due set (sorted set of members by time)
-- ARGV  1 most to take  2 milliseconds until another may take them
-- Returns { members taken, milliseconds until the next is due }, the latter only where something is planned.
local due, most, leaseMs = KEYS[1], ARGV[1], ARGV[2]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local members = redis.call('ZRANGEBYSCORE', due, '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
for _, member in ipairs(members) do redis.call('ZADD', due, string.format('%.0f', now + leaseMs), member) end

local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if not first[2] then return { members } end
return { members, math.max(first[2] - now, 0) }
