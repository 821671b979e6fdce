-- Reads a user's open orders, the last touched first, and the position of the user's channel in one moment. Begins the
-- channel's epoch where there is none (redis/run.lua, channels/generation.lua and channels/position.lua stand before it).
--
-- KEYS  1 open orders  2 their texts  3 meta
-- ARGV  1 epoch to begin with  2 life of an unused channel (s)
-- Returns { epoch, offset, json, json, ... }.
local open, texts, meta = KEYS[1], KEYS[2], KEYS[3]
local freshEpoch, idleTtl = ARGV[1], ARGV[2]

local answer = { openPosition(meta, freshEpoch, idleTtl) }
local now = redis.call('TIME')[1]
for _, orderId in ipairs(redis.call('ZREVRANGEBYSCORE', open, '+inf', '(' .. now)) do
  answer[#answer + 1] = redis.call('HGET', texts, orderId)
end
return answer
