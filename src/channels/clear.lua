-- Removes a channel's log and starts another epoch, so that nobody recovers over the removal. Subscribed nodes are told
-- the new position. redis/run.lua, generation.lua and position.lua stand before it.
--
-- KEYS  1 meta  2 log  3 feed  further ones: what is kept beside the log
-- ARGV  1 epoch to start  2 TTL of an unused channel (s)
-- Returns how many publications the log held.
local position = positionBefore(KEYS[1], ARGV[1])
local removed = redis.call('XLEN', KEYS[2])
redis.call('DEL', KEYS[2], unpack(KEYS, 4))
if not position[1] then return removed end
local timestamp = position[3] or '0'
beginEpoch(KEYS[1], ARGV[1], timestamp, ARGV[2])
redis.call('SPUBLISH', KEYS[3], '~' .. ARGV[1] .. ':' .. timestamp)
return removed
