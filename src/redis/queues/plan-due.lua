-- Plans members of a due set, on Redis' own clock.
--
-- KEYS  1 due set (sorted set of members by time)
-- ARGV  1 'all', 'new' (members planned already keep their time) or 'known' (unplanned members stay unplanned)
--       2 milliseconds from now  3.. members
local due, which, delayMs = KEYS[1], ARGV[1], ARGV[2]

local time = redis.call('TIME')
local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + delayMs)
for i = 3, #ARGV do
  if which == 'new' then redis.call('ZADD', due, 'NX', at, ARGV[i])
  elseif which == 'known' then redis.call('ZADD', due, 'XX', at, ARGV[i])
  else redis.call('ZADD', due, at, ARGV[i]) end
end
