-- Identifies a board's state: a page stays the same as long as both numbers do.
--
-- KEYS  1 state
-- ARGV  1 season's start (ms)  2 its end (ms)
-- Returns { 'turned', now } if the season is wrong, else { 'ok', timestamp of the last change, published revision }.
local state, startsAt, endsAt = KEYS[1], ARGV[1], ARGV[2]

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end
return { 'ok', board.timestamp or '0', redis.call('HGET', state, 'revision') or '0' }
