-- Lets exactly the parties of an order read it, if the update that ended some users' access was not saved.
--
-- KEYS  1 order  2 parties
-- ARGV  1 id of the update (end-access.lua)
-- Returns 1, or 0 if the update was saved, or another one has ended access since.
local record, endsAccess = unpack(redis.call('HMGET', KEYS[1], 'record', 'endsAccess'))
if not record or (endsAccess or '') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
for _, userId in pairs(cjson.decode(record).parties) do redis.call('SADD', KEYS[2], userId) end
redis.call('EXPIRE', KEYS[2], redis.call('TTL', KEYS[1]))
redis.call('HDEL', KEYS[1], 'endsAccess', 'ended')
return 1
