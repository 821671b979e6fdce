-- Takes the right to read an order from users, before the update is saved that removes them.
--
-- KEYS  1 order  2 parties
-- ARGV  1 id of the update, by which `restore-parties.lua` knows that it was not saved  2... users
-- Returns 1, or 0 if there is no such order.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'endsAccess', ARGV[1])
redis.call('SREM', KEYS[2], unpack(ARGV, 2))
return 1
