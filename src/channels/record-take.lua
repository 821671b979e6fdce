-- Hands the record of a connection to a new owner.
--
-- KEYS  1 record (hash)
-- ARGV  1 new owner  2 life (s)
-- Returns { the old owner, '' if it had released the record; how often the record has been taken; the trail of what the
-- old owner delivered, '' if it left none }; nil if there is no record.
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then return nil end
-- One that is still there although the record was not released is of an owner before.
local trail = owner == '' and redis.call('HGET', KEYS[1], 'trail') or ''
redis.call('HDEL', KEYS[1], 'trail')
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
-- It may still have to write its trail.
if owner ~= '' then redis.call('HSET', KEYS[1], 'before', owner) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return { owner, redis.call('HINCRBY', KEYS[1], 'takes', 1), trail }
