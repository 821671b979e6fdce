-- One page of planned publications, the next first.
--
-- KEYS  1 due set (sorted set of schedule ids by time)  2 publications (hash of schedule ids)
-- ARGV  1 max  2 score of the last one of the previous page, '' for the first page  3 its schedule id
-- Returns { schedule id, score, entry, ... }; an entry is false if it was published meanwhile.
local due, publications = KEYS[1], KEYS[2]
local max, lastAt, lastId = tonumber(ARGV[1]), ARGV[2], ARGV[3]

local start = 0
if lastAt ~= '' then
  -- One that is claimed has moved behind others.
  local hasMoved = tonumber(redis.call('ZSCORE', due, lastId) or -1) ~= tonumber(lastAt)
  start = hasMoved and redis.call('ZCOUNT', due, '-inf', '(' .. lastAt) or redis.call('ZRANK', due, lastId) + 1
end
local page = {}
local members = redis.call('ZRANGE', due, start, start + max - 1, 'WITHSCORES')
for i = 1, #members, 2 do
  page[#page + 1] = members[i]
  page[#page + 1] = members[i + 1]
  page[#page + 1] = redis.call('HGET', publications, members[i])
end
return page
