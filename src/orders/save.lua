-- Saves a change of an order and publishes it on the order's channel atomically; does nothing if the order was saved
-- since it was loaded, or the right of a user that it removes has not ended as the caller knows. Notifications to others
-- stay in the outbox until they are delivered.
--
-- KEYS  1 order  2 timeline  3 seen  4 parties  5 outbox  6 signals  7 signal marks  8 tombstone
--       9 meta  10 log  11 feed  12 store-wide timestamp, omitted on Cluster (9 to 12: append.lua)
-- ARGV  1 revision that was loaded, '' for a new order  2 TTL (s)  3 max timeline entries  4 max timeline bytes
--       5 max seen ids  6 epoch  7 log size  8 log TTL  9 meta TTL  10 head (6 to 10: append.lua)
--       11 to 15 the number of: fields (name, value), entries (timeline entry, tail, event id or ''), outbox items,
--       users who may read it from now on, users whom it removes (user, mark of end-access.lua); then these
-- Returns false if nothing was saved, else the outbox: { item, number, item, number, ... }.
local order, timeline, seen, parties, outbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local expected, ttl, timelineSize, timelineBytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local seenSize, fieldCount, entryCount = tonumber(ARGV[5]), tonumber(ARGV[11]), tonumber(ARGV[12])
local itemCount, partyCount, removedCount = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local channel = {
  meta = KEYS[9], log = KEYS[10], feed = KEYS[11], timestampKey = KEYS[12] or '',
  epoch = ARGV[6], size = ARGV[7], logTtl = ARGV[8], metaTtl = ARGV[9], head = ARGV[10],
}

if (redis.call('HGET', order, 'revision') or '') ~= expected then return false end
local ended = cjson.decode(redis.call('HGET', order, 'ended') or '{}')
local beforeRemoved = 15 + 2 * fieldCount + 3 * entryCount + itemCount + partyCount
for i = beforeRemoved + 1, beforeRemoved + 2 * removedCount, 2 do
  if ended[ARGV[i]] ~= ARGV[i + 1] or redis.call('SISMEMBER', parties, ARGV[i]) == 1 then return false end
  ended[ARGV[i]] = nil
end
positionBefore(channel.meta, channel.epoch)
local revision = redis.call('HINCRBY', order, 'revision', 1)

redis.call('HSET', order, unpack(ARGV, 16, 15 + 2 * fieldCount))
local at = 15 + 2 * fieldCount
local function take()
  at = at + 1
  return ARGV[at]
end

local bytes = tonumber(redis.call('HGET', order, 'timelineBytes') or 0)
for _ = 1, entryCount do
  local entry = take()
  bytes = bytes + #entry
  redis.call('RPUSH', timeline, entry)
  append(channel, take())
  local eventId = take()
  if eventId ~= '' then redis.call('ZADD', seen, revision, eventId) end
end
for _ = 1, itemCount do
  redis.call('ZADD', outbox, redis.call('HINCRBY', order, 'outboxed', 1), take())
end
for _ = 1, partyCount do
  local party = take()
  redis.call('SADD', parties, party)
  ended[party] = nil
end
if partyCount > 0 or removedCount > 0 then
  redis.call('HDEL', order, 'endsAccess')
  redis.call('HSET', order, 'ended', cjson.encode(ended))
end

local length = redis.call('LLEN', timeline)
while length > timelineSize or (bytes > timelineBytes and length > 1) do
  bytes = bytes - #redis.call('LPOP', timeline)
  length = length - 1
end
if entryCount > 0 then redis.call('HSET', order, 'timelineBytes', bytes) end
redis.call('ZREMRANGEBYRANK', seen, 0, -seenSize - 1)
for i = 1, 7 do redis.call('EXPIRE', KEYS[i], ttl) end
-- By the time the tombstone expires, every node has ended its subscriptions to the order, or is fenced.
redis.call('SET', KEYS[8], '1', 'EX', ttl + 300)
return redis.call('ZRANGE', outbox, 0, -1, 'WITHSCORES')
