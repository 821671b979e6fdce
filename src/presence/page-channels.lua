-- A page of the channels of one node, ordered by name.
--
-- KEYS  1 names of the node's channels (sorted set, all of score 0)  2 counts (hash channel -> subscribers)
-- ARGV  1 lower end, 2 upper end, as for ZRANGEBYLEX  3 limit
-- Returns { channel, subscribers, channel, subscribers, ... }
local reply = {}
for _, channel in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])) do
  reply[#reply + 1] = channel
  reply[#reply + 1] = redis.call('HGET', KEYS[2], channel) or '0'
end
return reply
