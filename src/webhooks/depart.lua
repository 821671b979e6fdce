-- A node has left or died: what stands there is to be taken out a little later. The first to say so counts.
--
-- KEYS  1 departed (sorted set)
-- ARGV  1 node  2 ms until then
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', now + ARGV[2]), ARGV[1])
