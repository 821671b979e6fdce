-- Saves a change of an order and publishes it on the order's channel atomically; does nothing if the order was saved
-- since it was loaded. Notifications to others stay in the outbox until they are delivered.
--
-- KEYS  1 order  2 timeline  3 seen  4 parties  5 outbox  6 signals  7 signal marks  8 tombstone
--       9 meta  10 log  11 feed  12 store-wide stamp, omitted on Cluster (9 to 12: append.lua)
-- ARGV  1 revision that was loaded, '' for a new order  2 TTL (s)  3 max timeline entries  4 max seen ids
--       5 epoch  6 log size  7 log TTL  8 meta TTL  9 head (5 to 9: append.lua)
--       10 to 13 the number of: fields (name, value), statuses (timeline entry, tail, event id or ''), outbox items,
--       parties; then these
-- Returns false if the revision has changed, else the outbox: { item, number, item, number, ... }.
local order, timeline, seen, parties, outbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local expected, ttl, timelineSize, seenSize = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local fieldCount, statusCount = tonumber(ARGV[10]), tonumber(ARGV[11])
local itemCount, partyCount = tonumber(ARGV[12]), tonumber(ARGV[13])
local channel = {
  meta = KEYS[9], log = KEYS[10], feed = KEYS[11], timestampKey = KEYS[12] or '',
  epoch = ARGV[5], size = ARGV[6], logTtl = ARGV[7], metaTtl = ARGV[8], head = ARGV[9],
}

if (redis.call('HGET', order, 'revision') or '') ~= expected then return false end
positionBefore(channel.meta, channel.epoch)
local revision = redis.call('HINCRBY', order, 'revision', 1)

redis.call('HSET', order, unpack(ARGV, 14, 13 + 2 * fieldCount))
local at = 13 + 2 * fieldCount
local function take()
  at = at + 1
  return ARGV[at]
end

for _ = 1, statusCount do
  redis.call('RPUSH', timeline, take())
  append(channel, take())
  local eventId = take()
  if eventId ~= '' then redis.call('ZADD', seen, revision, eventId) end
end
for _ = 1, itemCount do
  redis.call('ZADD', outbox, redis.call('HINCRBY', order, 'outboxed', 1), take())
end
for _ = 1, partyCount do redis.call('SADD', parties, take()) end

redis.call('LTRIM', timeline, -timelineSize, -1)
redis.call('ZREMRANGEBYRANK', seen, 0, -seenSize - 1)
for i = 1, 7 do redis.call('EXPIRE', KEYS[i], ttl) end
-- By the time the tombstone expires, every node has ended its subscriptions to the order, or is fenced.
redis.call('SET', KEYS[8], '1', 'EX', ttl + 300)
return redis.call('ZRANGE', outbox, 0, -1, 'WITHSCORES')
