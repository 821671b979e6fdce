-- Tells a board's states apart: what a page shows is the same for as long as both numbers are.
--
-- KEYS  1 state
-- ARGV  1 season's start (ms)  2 its end (ms)
-- Returns { 'turned', now } where the season is another, else { 'ok', stamp of the last change, revision told }.
local state, startsAt, endsAt = KEYS[1], ARGV[1], ARGV[2]

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end
return { 'ok', board.stamp or '0', redis.call('HGET', state, 'revision') or '0' }
