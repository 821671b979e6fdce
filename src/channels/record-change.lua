-- Changes the record of a connection, for its owner only: a connection that was taken over elsewhere writes no more.
--
-- KEYS  1 record (hash)
-- ARGV  1 owner  2 'keep', 'drop', 'release' or 'end'  3 life (s)  4 field  5 value
-- Returns 1, or 0 where the record is another's or gone.
local record = KEYS[1]
local owner, act, ttl, field, value = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

if redis.call('HGET', record, 'owner') ~= owner then return 0 end
if act == 'keep' then redis.call('HSET', record, field, value)
elseif act == 'drop' then redis.call('HDEL', record, field)
elseif act == 'release' then redis.call('HSET', record, 'owner', '')
elseif act == 'end' then redis.call('DEL', record) end
redis.call('EXPIRE', record, ttl)
return 1
