-- Removes a member from the board.
--
-- KEYS  1 state  2 ranking  3 places  4 data  5 touched
-- ARGV  1 season's start (ms)  2 its end (ms)  3 member
-- Returns { 'turned', now } if the season is wrong, else { 'ok', 1, or 0 if it was not there }.
local state, ranking, places, data, touched = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local startsAt, endsAt, member = ARGV[1], ARGV[2], ARGV[3]

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end
local place = redis.call('HGET', places, member)
if not place then return { 'ok', 0 } end

redis.call('ZREM', ranking, string.sub(place, 1, placeLength) .. member)
redis.call('HDEL', places, member)
redis.call('HDEL', data, member)
markChanged(board, state, touched, board.nextTimestamp, startsAt)
return { 'ok', 1 }
