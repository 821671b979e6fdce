-- Identifies a board's state: a page stays the same as long as these numbers do.
--
-- KEYS  1 state  2 ranking
-- ARGV  1 season's start (ms)  2 its end (ms)
-- Returns { 'turned', now } if the season is wrong, else { 'ok', timestamp of the last change, published revision, 1, or 0 if
-- there are no scores, which may have expired since }.
local state, ranking, startsAt, endsAt = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end
return { 'ok', board.timestamp or '0', redis.call('HGET', state, 'revision') or '0',
  redis.call('EXISTS', ranking) }
