-- Begins to publish claimed publications: from now on they cannot be cancelled.
--
-- KEYS  1 publications (hash of schedule ids)
-- ARGV  schedule ids
-- Returns the entry of each, in order, nil for one that is gone.
local publications = KEYS[1]
local entries = redis.call('HMGET', publications, unpack(ARGV))
for i, entry in ipairs(ARGV) do
  if entries[i] then redis.call('HSET', publications, entry, 'f' .. string.sub(entries[i], 2)) end
end
return entries
