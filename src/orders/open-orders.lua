-- Reads a user's open orders, the last updated first, and atomically the position of the user's channel. Starts an
-- epoch for the channel if it has none (redis/run.lua, channels/generation.lua and channels/position.lua come before it).
--
-- KEYS  1 open orders  2 their texts  3 meta
-- ARGV  1 epoch to start with  2 TTL of an unused channel (s)  3 max orders
-- Returns { epoch, offset, json, json, ... }.
local open, texts, meta = KEYS[1], KEYS[2], KEYS[3]
local freshEpoch, idleTtl = ARGV[1], ARGV[2]

local answer = { openPosition(meta, freshEpoch, idleTtl) }
local now = redis.call('TIME')[1]
for _, orderId in ipairs(redis.call('ZREVRANGEBYSCORE', open, '+inf', '(' .. now, 'LIMIT', 0, ARGV[3])) do
  answer[#answer + 1] = redis.call('HGET', texts, orderId)
end
return answer
