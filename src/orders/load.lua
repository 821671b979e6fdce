-- Loads an order, to decide on an event.
--
-- KEYS  1 order  2 seen  3 signals  4 tombstone  5 parties
-- ARGV  1 id of the event, '' if it has none
-- Returns { now (ms), 1 if the event was applied before, 1 if nodes may have subscriptions to an order with this id,
-- signals as { name, '<at>:<data>', ... }, users whose right to read it has ended, each with its mark (end-access.lua),
-- record, content, status, sequence, resolved, held, refused, revision, updatedAt, statusAt }; the fields are nil if there is
-- no such order.
local order, seen, signals, tombstone, parties = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local eventId = ARGV[1]

local ended = {}
for user, mark in pairs(cjson.decode(redis.call('HGET', order, 'ended') or '{}')) do
  if redis.call('SISMEMBER', parties, user) == 0 then
    ended[#ended + 1] = user
    ended[#ended + 1] = mark
  end
end
local time = redis.call('TIME')
local isSeen = eventId ~= '' and redis.call('ZSCORE', seen, eventId)
local fields = redis.call('HMGET', order, 'record', 'content', 'status', 'sequence', 'resolved', 'held', 'refused',
  'revision', 'updatedAt', 'statusAt')
return {
  string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), isSeen and 1 or 0,
  redis.call('EXISTS', tombstone), redis.call('HGETALL', signals), ended, unpack(fields),
}
