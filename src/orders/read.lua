-- Reads an order, its timeline and the position of its channel in one moment. Begins the channel's epoch where there is
-- none (redis/run.lua, channels/generation.lua and channels/position.lua stand before it).
--
-- KEYS  1 order  2 timeline  3 signals  4 meta
-- ARGV  1 epoch to begin with  2 life of an unused channel (s)
-- Returns false where there is no such order, else { epoch, offset, timeline, signals as { name, '<at>:<data>', ... }, record,
-- status, sequence, updatedAt }.
local order, timeline, signals, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local freshEpoch, idleTtl = ARGV[1], ARGV[2]

local fields = redis.call('HMGET', order, 'record', 'status', 'sequence', 'updatedAt')
if not fields[1] then return false end
local epoch, offset = openPosition(meta, freshEpoch, idleTtl)
return {
  epoch, offset, redis.call('LRANGE', timeline, 0, -1), redis.call('HGETALL', signals), unpack(fields),
}
