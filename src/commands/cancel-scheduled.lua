-- Cancels a planned publication.
--
-- KEYS  1 due set (sorted set of schedule ids by time)  2 publications (hash of schedule ids)  3 failures (hash of schedule ids)
-- ARGV  1 schedule id
-- Returns 1, or 0 if it is unknown, published or being published.
local due, publications, id = KEYS[1], KEYS[2], ARGV[1]
local entry = redis.call('HGET', publications, id)
if not entry or string.sub(entry, 1, 1) ~= 'p' then return 0 end
redis.call('ZREM', due, id)
redis.call('HDEL', KEYS[3], id)
return redis.call('HDEL', publications, id)
