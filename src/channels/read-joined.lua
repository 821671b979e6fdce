-- Reads a channel's position and, in the same step, its joined text (publish.lua). Starts an epoch if there is none.
-- redis/run.lua, generation.lua and position.lua stand before it.
--
-- KEYS  1 meta  2 text  3 last
-- ARGV  1 epoch to start  2 TTL of an unused channel (s)
-- Returns { epoch, offset, text or '', last or '' }.
local epoch, offset = openPosition(KEYS[1], ARGV[1], ARGV[2])
local joined = redis.call('MGET', KEYS[2], KEYS[3])
return { epoch, offset, joined[1] or '', joined[2] or '' }
