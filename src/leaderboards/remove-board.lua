-- Removes all members of the board's current season. Redis frees the memory in the background. The state stays for a day, so
-- that subscribers get the diff that empties the board.
--
-- KEYS  1 state  2 ranking  3 places  4 data  5 touched
-- ARGV  1 season's start (ms)  2 its end (ms)
-- Returns { 'turned', now } if the season is wrong, else { 'ok', 1, or 0 if there were no members }.
local state, ranking, places, data, touched = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local startsAt, endsAt = ARGV[1], ARGV[2]

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end
local removed = redis.call('UNLINK', ranking, places, data)
if removed == 0 then return { 'ok', 0 } end
markChanged(board, state, touched, board.nextTimestamp, startsAt)
redis.call('EXPIRE', state, 86400)
return { 'ok', 1 }
