-- Begins to publish a claimed publication: from now on it cannot be cancelled.
--
-- KEYS  1 due set (sorted set of schedule ids by time)  2 publications (hash of schedule ids)
-- ARGV  1 schedule id
-- Returns its entry and the end of the claim, or nothing if it is gone.
local due, publications, id = KEYS[1], KEYS[2], ARGV[1]
local entry = redis.call('HGET', publications, id)
if not entry then return {} end
redis.call('HSET', publications, id, 'f' .. string.sub(entry, 2))
return { entry, redis.call('ZSCORE', due, id) or '' }
