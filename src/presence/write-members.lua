-- Writes the counts of a channel's members on one node, and publishes them to the nodes that follow the channel. Counts are
-- absolute, so a repeat is harmless. cluster/write-count.lua stands before it.
--
-- KEYS  1 nodes of the channel (hash node -> key of its members, '' -> revision, 'since' -> the first one)
--       2 members through this node (hash)  3 feed (sharded pub/sub)  4 members under the node's former name, if any
-- ARGV  1 node  2 its former name, or ''  3 '1' if the counts replace all earlier ones of the node
--       4 TTL (s)  5 TTL (s) without members  6 the change, for the feed  7.. user, count, user, count, ...
-- Returns the revision. The first one is the time in microseconds, so that a channel that was dropped continues above its
-- earlier revisions.
local nodes, members, feed, formerMembers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local node, former, isWhole, ttl, emptyTtl, change = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4], ARGV[5], ARGV[6]

if isWhole then redis.call('DEL', members) end
if former ~= '' then
  redis.call('DEL', formerMembers)
  redis.call('HDEL', nodes, former)
end
for i = 7, #ARGV, 2 do writeCount(members, ARGV[i], ARGV[i + 1]) end

if redis.call('EXPIRE', members, ttl) == 1 then redis.call('HSET', nodes, node, members)
else redis.call('HDEL', nodes, node) end
local before = redis.call('HGET', nodes, '') or '0'
if before == '0' then
  local time = redis.call('TIME')
  local since = time[1] .. string.format('%06d', time[2])
  redis.call('HSET', nodes, '', since, 'since', since)
end
local revision = redis.call('HINCRBY', nodes, '', 1)
local revisionText = string.format('%.0f', revision)
redis.call('EXPIRE', nodes, redis.call('HLEN', nodes) == 2 and emptyTtl or ttl)
redis.call('SPUBLISH', feed, revisionText .. ':' .. before .. ':' .. change)
return revisionText
