-- What subscribers of a board know, and the position of its channel at which they know it. Begins an epoch where there
-- is none, as open.lua does.
--
-- KEYS  1 meta (of the board's channel)  2 state
-- ARGV  1 epoch to begin with  2 life of an unused channel (s)
-- Returns { epoch, offset, revision, total, top as JSON ('' for none) }.
local meta, state = KEYS[1], KEYS[2]
local freshEpoch, idleTtl = ARGV[1], ARGV[2]

local position = redis.call('HMGET', meta, 'epoch', 'offset')
if not position[1] then
  position = { freshEpoch, '0' }
  redis.call('HSET', meta, 'epoch', freshEpoch, 'offset', '0', 'stamp', '0')
  redis.call('EXPIRE', meta, idleTtl)
end
local known = redis.call('HMGET', state, 'revision', 'total', 'top')
return { position[1], position[2], tonumber(known[1]) or 0, tonumber(known[2]) or 0, known[3] or '' }
