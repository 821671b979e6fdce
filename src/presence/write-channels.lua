-- Writes the subscriber counts of channels on one node; counts are absolute, so a repeat is harmless.
-- cluster/write-count.lua stands before it.
--
-- KEYS  1 names of the node's channels (sorted set, all of score 0)  2 counts (hash channel -> subscribers)
-- ARGV  1 TTL (s)  2.. channel, count, channel, count, ...
local names, counts, ttl = KEYS[1], KEYS[2], ARGV[1]
for i = 2, #ARGV, 2 do
  local change = writeCount(counts, ARGV[i], ARGV[i + 1])
  if change == 1 then redis.call('ZADD', names, 0, ARGV[i]) end
  if change == -1 then redis.call('ZREM', names, ARGV[i]) end
end
redis.call('EXPIRE', names, ttl)
redis.call('EXPIRE', counts, ttl)
