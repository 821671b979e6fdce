-- Removes a member from a past season of the board (board.lua stands before it).
--
-- KEYS  1 ranking  2 places  3 data
-- ARGV  1 member
-- Returns 1, or 0 if it was not there.
local ranking, places, data, member = KEYS[1], KEYS[2], KEYS[3], ARGV[1]

local place = redis.call('HGET', places, member)
if not place then return 0 end
redis.call('ZREM', ranking, string.sub(place, 1, placeLength) .. member)
redis.call('HDEL', places, member)
redis.call('HDEL', data, member)
return 1
