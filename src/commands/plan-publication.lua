-- Plans a publication, unless it is planned already.
--
-- KEYS  1 due set (sorted set of schedule ids by time)  2 publications (hash of schedule ids)
-- ARGV  1 schedule id  2 'at' (epoch ms) or 'in' (ms from now)  3 when  4 the command as JSON  5 max publications
-- Returns { when it is published, milliseconds until then }, or nil if there are too many.
local due, publications = KEYS[1], KEYS[2]
local id, mode, ms, command, max = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local planned = redis.call('HGET', publications, id)
local at = planned and tonumber(string.match(planned, '^.(%d+):'))
if not at then
  if redis.call('HLEN', publications) >= max then return nil end
  at = mode == 'at' and ms or now + ms
  local text = string.format('%.0f', at)
  redis.call('HSET', publications, id, 'p' .. text .. ':' .. command)
  redis.call('ZADD', due, text, id)
end
return { at, math.max(at - now, 0) }
