-- Reads entries sorted by rank: a page, or those around a member.
--
-- KEYS  1 state  2 ranking  3 places  4 data
-- ARGV  1 order  2 season's start (ms)  3 its end (ms), '' for a named season  4 'page' or 'around'
--       5 page: entries to skip; around: the member  6 page: entries to read; around: entries on each side
-- Returns { 'turned', now } if the season is wrong, else { 'ok', revision, total, first rank } and four an entry:
-- member, score, time it was reached (ms), data (nil: none). No entries if the member is not on the board.
local state, ranking, places, data = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local isDesc, startsAt, endsAt, view = ARGV[1] == 'desc', ARGV[2], ARGV[3], ARGV[4]
local rankCommand, rangeCommand = 'ZRANK', 'ZRANGE'
if isDesc then rankCommand, rangeCommand = 'ZREVRANK', 'ZREVRANGE' end

if endsAt ~= '' then
  local board, moment = openBoard(state, startsAt, endsAt)
  if not board then return { 'turned', moment } end
end

local answer = { 'ok', tonumber(redis.call('HGET', state, 'revision')) or 0, redis.call('ZCARD', ranking), 1 }
local from, count = 0, 0
if view == 'page' then
  from, count = tonumber(ARGV[5]), tonumber(ARGV[6])
else
  local place = redis.call('HGET', places, ARGV[5])
  if not place then return answer end
  local index = redis.call(rankCommand, ranking, string.sub(place, 1, placeLength) .. ARGV[5])
  from = math.max(0, index - tonumber(ARGV[6]))
  count = index + tonumber(ARGV[6]) - from + 1
end
answer[4] = from + 1

local ranked = redis.call(rangeCommand, ranking, from, from + count - 1, 'WITHSCORES')
if #ranked == 0 then return answer end
local members = {}
for i = 1, #ranked, 2 do members[#members + 1] = string.sub(ranked[i], placeLength + 1) end
local kept = redis.call('HMGET', data, unpack(members))
for i, member in ipairs(members) do
  answer[#answer + 1] = member
  answer[#answer + 1] = ranked[2 * i]
  answer[#answer + 1] = math.floor(timestampOf(ranked[2 * i - 1], isDesc) / 1000)
  answer[#answer + 1] = kept[i]
end
return answer
