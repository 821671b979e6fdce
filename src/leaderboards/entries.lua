-- Reads the entries of members.
--
-- KEYS  1 state  2 ranking  3 places  4 data
-- ARGV  1 order  2 season's start (ms)  3 its end (ms)  then the members
-- Returns { 'turned', now } if the season is wrong, else { 'ok', revision, total } and five per member of the board: rank,
-- member, score, time it was reached (ms), data (nil: none).
local state, ranking, places, data = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local isDesc, startsAt, endsAt = ARGV[1] == 'desc', ARGV[2], ARGV[3]
local rankCommand = isDesc and 'ZREVRANK' or 'ZRANK'

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end

local held = redis.call('HMGET', places, unpack(ARGV, 4))
local kept = redis.call('HMGET', data, unpack(ARGV, 4))
local answer = { 'ok', tonumber(redis.call('HGET', state, 'revision')) or 0, redis.call('ZCARD', ranking) }
for i = 1, #ARGV - 3 do
  local member, place = ARGV[i + 3], held[i]
  if place then
    local bytes = string.sub(place, 1, placeLength)
    local at = #answer
    answer[at + 1] = redis.call(rankCommand, ranking, bytes .. member) + 1
    answer[at + 2] = member
    answer[at + 3] = string.sub(place, placeLength + 1)
    answer[at + 4] = math.floor(timestampOf(bytes, isDesc) / 1000)
    answer[at + 5] = kept[i]
  end
end
return answer
