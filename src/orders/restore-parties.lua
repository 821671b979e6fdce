-- Lets exactly the parties of an order read it.
--
-- KEYS  1 order  2 parties
local record = redis.call('HGET', KEYS[1], 'record')
if not record then return 0 end
redis.call('DEL', KEYS[2])
for _, userId in pairs(cjson.decode(record).parties) do redis.call('SADD', KEYS[2], userId) end
redis.call('EXPIRE', KEYS[2], redis.call('TTL', KEYS[1]))
return 1
