-- Tells one party of an order, once and never backwards: keeps the order in the list of open ones or takes it out, and
-- publishes on the party's channel. What is not newer than what was told last is ignored.
--
-- KEYS  1 told  2 open orders  3 their texts  4 meta  5 log  6 feed  7 store-wide stamp, left out on Cluster
-- ARGV  1 what is told: 'status' or 'signal:<name>'  2 when the order began (ms)  3 number of what is told
--       4 life (s)  5 order id  6 the open order as JSON, '' where it has ended, '-' to leave the list alone
--       7 most open orders  8 epoch  9 log size  10 log TTL  11 meta TTL  12 head  13 tail (8 to 13: append.lua)
-- Returns 1 where it was published, 0 where it had been told.
local told, open, texts = KEYS[1], KEYS[2], KEYS[3]
local what, began, number, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local orderId, text, mostOpen = ARGV[5], ARGV[6], tonumber(ARGV[7])

local lastBegan, lastNumber = string.match(redis.call('HGET', told, what) or '-1:-1', '(.+):(.+)')
lastBegan, lastNumber = tonumber(lastBegan), tonumber(lastNumber)
if began < lastBegan or (began == lastBegan and number <= lastNumber) then return 0 end
positionBefore(KEYS[4], ARGV[8])
redis.call('HSET', told, what, string.format('%.0f:%.0f', began, number))
redis.call('EXPIRE', told, life)

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
  redis.call('ZADD', open, now + life, orderId)
  redis.call('HSET', texts, orderId, text)
  drop(redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, 100))
  drop(redis.call('ZRANGE', open, 0, -mostOpen - 1))
  redis.call('EXPIRE', open, life)
  redis.call('EXPIRE', texts, life)
end

append({
  meta = KEYS[4], log = KEYS[5], feed = KEYS[6], stampKey = KEYS[7] or '',
  epoch = ARGV[8], size = ARGV[9], logTtl = ARGV[10], metaTtl = ARGV[11], head = ARGV[12],
}, ARGV[13])
return 1
