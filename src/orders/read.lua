-- Reads an order, its timeline and the position of its channel atomically. Starts an epoch for the channel if it has
-- none (redis/run.lua, channels/generation.lua and channels/position.lua are included before it).
--
-- KEYS  1 order  2 timeline  3 signals  4 meta
-- ARGV  1 epoch to start with  2 TTL of an unused channel (s)
-- Returns false if there is no such order, else { epoch, offset, timeline, signals as { name, '<at>:<data>', ... }, record,
-- status, sequence, updatedAt }.
local order, timeline, signals, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local freshEpoch, idleTtl = ARGV[1], ARGV[2]

local fields = redis.call('HMGET', order, 'record', 'status', 'sequence', 'updatedAt')
if not fields[1] then return false end
local epoch, offset = openPosition(meta, freshEpoch, idleTtl)
return {
  epoch, offset, redis.call('LRANGE', timeline, 0, -1), redis.call('HGETALL', signals), unpack(fields),
}
