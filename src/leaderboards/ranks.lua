-- Reads the ranks of members.
--
-- KEYS  1 state  2 ranking  3 places
-- ARGV  1 order  2 season's start (ms)  3 its end (ms)  then the members
-- Returns { 'turned', now } if the season is wrong, else { 'ok', timestamp, total } and two a member: rank (0: not on
-- the board) and score.
local state, ranking, places = KEYS[1], KEYS[2], KEYS[3]
local isDesc, startsAt, endsAt = ARGV[1] == 'desc', ARGV[2], ARGV[3]
local rankCommand = isDesc and 'ZREVRANK' or 'ZRANK'

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end

local held = redis.call('HMGET', places, unpack(ARGV, 4))
local answer = { 'ok', board.timestamp or '0', redis.call('ZCARD', ranking) }
for i = 1, #ARGV - 3 do
  local place = held[i]
  local member = place and string.sub(place, 1, placeLength) .. ARGV[i + 3]
  answer[#answer + 1] = member and redis.call(rankCommand, ranking, member) + 1 or 0
  answer[#answer + 1] = place and string.sub(place, placeLength + 1) or ''
end
return answer
