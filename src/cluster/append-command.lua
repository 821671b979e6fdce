-- Sends a control command to every living node.
--
-- KEYS  1 nodes (sorted set, score: end of lease in ms)  2 control log (stream)  3 control feed (sharded pub/sub)
-- ARGV  1 the command, as JSON  2 ms that earlier commands are kept
-- Returns { id, node, node, ... }: the command's id and the living nodes, which must acknowledge it. A node with an
-- expired lease is fenced and reads the log before it delivers anything again.
local time = redis.call('TIME')
local milliseconds = time[1] * 1000 + math.floor(time[2] / 1000)
local now = string.format('%.0f', milliseconds)
local oldest = string.format('%.0f', milliseconds - ARGV[2])
local id = redis.call('XADD', KEYS[2], 'MINID', '~', oldest, '*', 'c', ARGV[1])
redis.call('SPUBLISH', KEYS[3], id)
local asked = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
table.insert(asked, 1, id)
return asked
