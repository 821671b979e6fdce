-- A node's heartbeat, in one step: renews its lease, lists living and dead nodes, and returns the control commands since
-- the last one it followed. A node with a lease therefore knows every command that was sent while it counted as living.
--
-- KEYS  1 nodes (sorted set, score: end of lease in ms)  2 control log (stream)
--       3 tombstones (sorted set, score: ms of death)
-- ARGV  1 node  2 lease (ms), 0 to leave  3 id of the last command followed, '' to start at the end
--       4 ms that a command is kept  5 '1' if the node has sent a heartbeat under this name before
-- Returns { last id, { living node, end of its lease, ... }, { dead node, ... }, { id, command, id, command, ... },
-- isExpired, now (epoch ms) }. A dead node is returned by every heartbeat until its tombstone is removed. isExpired is 1
-- if the node's lease had expired: other nodes clean up after it, so it is not renewed and continues under another name.
local nodes, log, tombstones = KEYS[1], KEYS[2], KEYS[3]
local node, lease, followed, keep = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nowText = string.format('%.0f', now)

local leaseEnd = tonumber(redis.call('ZSCORE', nodes, node) or 0)
local isExpired = ARGV[5] == '1' and lease > 0 and leaseEnd <= now
if isExpired then lease = -1 end
if lease > 0 then redis.call('ZADD', nodes, string.format('%.0f', now + lease), node)
elseif lease == 0 then redis.call('ZREM', nodes, node) end

for _, dead in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', nowText)) do
  redis.call('ZREM', nodes, dead)
  redis.call('ZADD', tombstones, nowText, dead)
end
redis.call('XTRIM', log, 'MINID', '~', string.format('%.0f', now - keep))

local commands = {}
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
local lastId = last[1] and last[1][1] or '0-0'
if followed ~= '' then
  for _, entry in ipairs(redis.call('XRANGE', log, '(' .. followed, '+', 'COUNT', 1000)) do
    commands[#commands + 1] = entry[1]
    commands[#commands + 1] = entry[2][2]
    lastId = entry[1]
  end
end
local living = redis.call('ZRANGE', nodes, 0, -1, 'WITHSCORES')
return { lastId, living, redis.call('ZRANGE', tombstones, 0, 15), commands, isExpired and 1 or 0, nowText }
