-- One page of planned publications, the next first.
--
-- KEYS  1 due set (sorted set of schedule ids by time)  2 publications (hash of schedule ids)
-- ARGV  1 max  2 time of the last one of the previous page, '' for the first page  3 its schedule id
-- Returns { schedule id, entry, ... }; an entry is false if it was published meanwhile.
local due, publications = KEYS[1], KEYS[2]
local max, lastAt, lastId = tonumber(ARGV[1]), ARGV[2], ARGV[3]

local start = 0
if lastAt ~= '' then
  local rank = redis.call('ZRANK', due, lastId)
  start = rank and rank + 1 or redis.call('ZCOUNT', due, '-inf', '(' .. lastAt)
end
local page = {}
for _, id in ipairs(redis.call('ZRANGE', due, start, start + max - 1)) do
  page[#page + 1] = id
  page[#page + 1] = redis.call('HGET', publications, id)
end
return page
