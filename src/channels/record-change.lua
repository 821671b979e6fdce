-- Begins the record of a connection, or changes it. Changes are for its owner only: a connection that was taken over
-- elsewhere writes no more.
--
-- KEYS  1 record (hash)
-- ARGV  1 owner  2 'begin', 'keep', 'drop', 'release' or 'end'  3 life (s)
--       4.. field, value, field, value, ... to begin with; field and value to keep; field to drop
-- Returns 1, or 0 where the record is another's or gone.
local record = KEYS[1]
local owner, act, ttl = ARGV[1], ARGV[2], ARGV[3]

if act == 'begin' then redis.call('HSET', record, 'owner', owner, unpack(ARGV, 4))
elseif redis.call('HGET', record, 'owner') ~= owner then return 0
elseif act == 'keep' then redis.call('HSET', record, ARGV[4], ARGV[5])
elseif act == 'drop' then redis.call('HDEL', record, ARGV[4])
elseif act == 'release' then redis.call('HSET', record, 'owner', '')
elseif act == 'end' then redis.call('DEL', record) end
redis.call('EXPIRE', record, ttl)
return 1
