-- Reads the published top of a board and the position of its channel. Starts an epoch if there is none (redis/run.lua,
-- channels/generation.lua and channels/position.lua come before it).
--
-- KEYS  1 meta (of the board's channel)  2 state
-- ARGV  1 epoch to start with  2 TTL of an unused channel (s)
-- Returns { epoch, offset, revision, total, top as JSON ('' for none) }.
local meta, state = KEYS[1], KEYS[2]
local freshEpoch, idleTtl = ARGV[1], ARGV[2]

local epoch, offset = openPosition(meta, freshEpoch, idleTtl)
local known = redis.call('HMGET', state, 'revision', 'total', 'top')
return { epoch, offset, tonumber(known[1]) or 0, tonumber(known[2]) or 0, known[3] or '' }
