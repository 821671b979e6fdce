-- Hands the record of a connection to a new owner.
--
-- KEYS  1 record (hash)
-- ARGV  1 new owner  2 life (s)
-- Returns { the old owner, '' where it had gone; how often the record has been taken }; nil where there is no record.
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then return nil end
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return { owner, redis.call('HINCRBY', KEYS[1], 'takes', 1) }
