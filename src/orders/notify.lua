-- Notifies one party of an order, once and in order: updates the party's list of open orders and its index of orders, and
-- publishes on its channel. A notification that is not newer than the last one is ignored (index.lua comes before it).
--
-- KEYS  1 last notification by subject  2 open orders  3 their texts  4 to 6 index (members, expiry, statuses)
--       7 meta  8 log  9 feed  10 store-wide timestamp, omitted on Cluster
-- ARGV  1 subject: 'order' or 'signal:<name>'  2 creation of the order (ms)  3 number of the notification
--       4 TTL (s)  5 order id  6 the open order as JSON, '' if it is no longer open, '-' to leave the list unchanged
--       7 status of the order, '' if the user is no party any more  8 max open orders  9 member of the index
--       10 epoch  11 log size  12 log TTL  13 meta TTL  14 head  15 tail (10 to 15: append.lua)
-- Returns 1 if it was published, 0 if it is not newer.
local notified, open, texts = KEYS[1], KEYS[2], KEYS[3]
local subject, createdAt, number, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local orderId, text, status, maxOpen = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local channel = {
  meta = KEYS[7], log = KEYS[8], feed = KEYS[9], timestampKey = KEYS[10] or '',
  epoch = ARGV[10], size = ARGV[11], logTtl = ARGV[12], metaTtl = ARGV[13], head = ARGV[14],
}

local lastCreatedAt, lastNumber = string.match(redis.call('HGET', notified, subject) or '-1:-1', '(.+):(.+)')
lastCreatedAt, lastNumber = tonumber(lastCreatedAt), tonumber(lastNumber)
if createdAt < lastCreatedAt or (createdAt == lastCreatedAt and number <= lastNumber) then return 0 end
positionBefore(channel.meta, channel.epoch)
redis.call('HSET', notified, subject, string.format('%.0f:%.0f', createdAt, number))
redis.call('EXPIRE', notified, ttl)

local function drop(orderIds)
  for _, id in ipairs(orderIds) do
    redis.call('ZREM', open, id)
    redis.call('HDEL', texts, id)
  end
end

-- The order that takes a free place at the end of the list.
local listed
if text == '' then
  local place = redis.call('ZREVRANK', open, orderId)
  drop({ orderId })
  local last = place and place < maxOpen and redis.call('ZREVRANGE', open, maxOpen - 1, maxOpen - 1)[1]
  listed = last and redis.call('HGET', texts, last)
elseif text ~= '-' then
  local time = redis.call('TIME')
  local now = tonumber(time[1])
  redis.call('ZADD', open, string.format('%.6f', now + ttl + time[2] / 1000000), orderId)
  redis.call('HSET', texts, orderId, text)
  drop(redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, 100))
  drop(redis.call('ZRANGE', open, 0, -10 * maxOpen - 1))
  redis.call('EXPIRE', open, ttl)
  redis.call('EXPIRE', texts, ttl)
end
if text ~= '-' then indexOrder({ KEYS[4], KEYS[5], KEYS[6] }, ARGV[9], ARGV[3], status, ttl) end

append(channel, ARGV[15])
if listed then append(channel, '"event":"order.listed","data":' .. listed) end
return 1
