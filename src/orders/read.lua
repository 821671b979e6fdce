-- Reads an order, its timeline and the position of its channel in one moment. Begins the channel's epoch where there is
-- none, as opening a channel does.
--
-- KEYS  1 order  2 timeline  3 signals  4 meta
-- ARGV  1 epoch to begin with  2 life of an unused channel (s)
-- Returns false where there is no such order, else { epoch, offset, timeline, signals as { name, '<at>:<data>', ... }, record,
-- status, sequence, updatedAt }.
local order, timeline, signals, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local freshEpoch, idleTtl = ARGV[1], ARGV[2]

local fields = redis.call('HMGET', order, 'record', 'status', 'sequence', 'updatedAt')
if not fields[1] then return false end
if redis.call('HSETNX', meta, 'epoch', freshEpoch) == 1 then
  redis.call('HSET', meta, 'offset', '0', 'stamp', '0')
  redis.call('EXPIRE', meta, idleTtl)
end
local position = redis.call('HMGET', meta, 'epoch', 'offset')
return {
  position[1], position[2], redis.call('LRANGE', timeline, 0, -1), redis.call('HGETALL', signals), unpack(fields),
}
