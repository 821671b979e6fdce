-- Deletes an order. Its tombstone stays for a while: nodes may still have subscriptions to it.
--
-- KEYS  1 to 7 as in save.lua  8 tombstone
-- ARGV  1 revision that was loaded
-- Returns 1, or 0 if the revision has changed.
if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[8], '1', 'EX', 300)
redis.call('DEL', unpack(KEYS, 1, 7))
return 1
