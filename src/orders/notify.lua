-- Notifies one party of an order, once and in order: updates the party's list of open orders and publishes on its
-- channel. A notification that is not newer than the last one is ignored.
--
-- KEYS  1 last notification by subject  2 open orders  3 their texts  4 meta  5 log  6 feed
--       7 store-wide stamp, omitted on Cluster
-- ARGV  1 subject: 'status' or 'signal:<name>'  2 creation of the order (ms)  3 number of the notification
--       4 TTL (s)  5 order id  6 the open order as JSON, '' if it has ended, '-' to leave the list unchanged
--       7 max open orders  8 epoch  9 log size  10 log TTL  11 meta TTL  12 head  13 tail (8 to 13: append.lua)
-- Returns 1 if it was published, 0 if it is not newer.
local notified, open, texts = KEYS[1], KEYS[2], KEYS[3]
local subject, createdAt, number, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local orderId, text, maxOpen = ARGV[5], ARGV[6], tonumber(ARGV[7])

local lastCreatedAt, lastNumber = string.match(redis.call('HGET', notified, subject) or '-1:-1', '(.+):(.+)')
lastCreatedAt, lastNumber = tonumber(lastCreatedAt), tonumber(lastNumber)
if createdAt < lastCreatedAt or (createdAt == lastCreatedAt and number <= lastNumber) then return 0 end
positionBefore(KEYS[4], ARGV[8])
redis.call('HSET', notified, subject, string.format('%.0f:%.0f', createdAt, number))
redis.call('EXPIRE', notified, ttl)

local function drop(orderIds)
  for _, id in ipairs(orderIds) do
    redis.call('ZREM', open, id)
    redis.call('HDEL', texts, id)
  end
end

if text == '' then
  drop({ orderId })
elseif text ~= '-' then
  local now = tonumber(redis.call('TIME')[1])
  redis.call('ZADD', open, now + ttl, orderId)
  redis.call('HSET', texts, orderId, text)
  drop(redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, 100))
  drop(redis.call('ZRANGE', open, 0, -maxOpen - 1))
  redis.call('EXPIRE', open, ttl)
  redis.call('EXPIRE', texts, ttl)
end

append({
  meta = KEYS[4], log = KEYS[5], feed = KEYS[6], timestampKey = KEYS[7] or '',
  epoch = ARGV[8], size = ARGV[9], logTtl = ARGV[10], metaTtl = ARGV[11], head = ARGV[12],
}, ARGV[13])
return 1
