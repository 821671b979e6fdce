-- Claims due members for a limited time: if the claiming node dies, another claims them again.
--
-- KEYS  1 due set (sorted set of members by time)
-- ARGV  1 max to claim  2 milliseconds until another node may claim them
-- Returns { claimed members, milliseconds until the next is due }, the latter only if members are planned.
local due, max, leaseMs = KEYS[1], ARGV[1], ARGV[2]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local members = redis.call('ZRANGEBYSCORE', due, '-inf', string.format('%.0f', now), 'LIMIT', 0, max)
for _, member in ipairs(members) do redis.call('ZADD', due, string.format('%.0f', now + leaseMs), member) end

local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if not first[2] then return { members } end
return { members, math.max(first[2] - now, 0) }
