-- Writes the subscriber counts of channels on one node; counts are absolute, so a repeat is harmless.
--
-- KEYS  1 names of the node's channels (sorted set, all of score 0)  2 counts (hash channel -> subscribers)
-- ARGV  1 TTL (s)  2.. channel, count, channel, count, ...
local names, counts, ttl = KEYS[1], KEYS[2], ARGV[1]
for i = 2, #ARGV, 2 do
  local channel, count = ARGV[i], ARGV[i + 1]
  if count == '0' then
    redis.call('ZREM', names, channel)
    redis.call('HDEL', counts, channel)
  else
    if redis.call('HSET', counts, channel, count) == 1 then redis.call('ZADD', names, 0, channel) end
  end
end
redis.call('EXPIRE', names, ttl)
redis.call('EXPIRE', counts, ttl)
