-- Included by every script that writes what a node counts.
--
-- writeCount(counts, name, value) stores an absolute value in a hash; '0' or '' removes the name. Returns 1 if the name is
-- new, -1 if it was removed, and else 0.
local function writeCount(counts, name, value)
  if value == '0' or value == '' then return -redis.call('HDEL', counts, name) end
  return redis.call('HSET', counts, name, value)
end
