-- An attempt to publish was refused, so nothing was published: until the next one, the publication is planned again, unless
-- another node has claimed it since.
--
-- KEYS  1 due set (sorted set of schedule ids by time)  2 publications (hash of schedule ids)  3 failures (hash of schedule ids)
-- ARGV  1 schedule id  2 end of the claim, as `begin-scheduled.lua` returned it
-- Returns how often it has failed.
local due, publications, failures = KEYS[1], KEYS[2], KEYS[3]
local id, claimEnd = ARGV[1], ARGV[2]
local entry = redis.call('HGET', publications, id)
if entry and redis.call('ZSCORE', due, id) == claimEnd then
  redis.call('HSET', publications, id, 'p' .. string.sub(entry, 2))
end
return redis.call('HINCRBY', failures, id, 1)
