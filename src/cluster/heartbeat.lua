-- A node's heartbeat, in one step: renews its lease, lists living and dead nodes, and returns the control commands since
-- the last one it followed. A node with a lease therefore knows every command that was sent while it counted as living.
--
-- KEYS  1 nodes (sorted set, score: end of lease in ms)  2 control log (stream)
--       3 tombstones (sorted set, score: ms of death)  4 version (string), another text after each change of the living nodes
-- ARGV  1 node  2 lease (ms), 0 to leave  3 id of the last command followed, '' to start at the end
--       4 '1' if the node has sent a heartbeat under this name before
--       5 the version of which the node has the living nodes, '' to list them in any case
-- Returns { last id, { living node, end of its lease, ... }, { dead node, ... }, { id, command, id, command, ... },
-- isExpired, now (epoch ms), version }. In place of the living nodes, false if they are those of the node's version: a
-- heartbeat costs what has changed, however many nodes there are. A dead node is returned by every heartbeat until its
-- tombstone is removed. isExpired is 1 if the node's lease had expired: other nodes clean up after it, so it is not renewed
-- and continues under another name.
local nodes, log, tombstones, versionKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local node, lease, followed = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nowText = string.format('%.0f', now)

local changes, isExpired = 0, false
local function removeExpired()
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', nowText)) do
    if dead == node then isExpired = ARGV[4] == '1' and lease > 0 end
    changes = changes + redis.call('ZREM', nodes, dead)
    redis.call('ZADD', tombstones, nowText, dead)
  end
end
local leaseEnd = string.format('%.0f', now + lease)

-- The calls of an idle heartbeat are few, because they are most of what a cluster of many nodes costs.
if lease == 0 then changes = redis.call('ZREM', nodes, node) removeExpired()
elseif ARGV[4] ~= '1' then changes = redis.call('ZADD', nodes, leaseEnd, node) removeExpired()
else
  removeExpired()
  -- 0 for a node that is gone, and for a second heartbeat within the same millisecond.
  local isRenewed = not isExpired and redis.call('ZADD', nodes, 'XX', 'CH', leaseEnd, node) == 1
  if not isRenewed and not redis.call('ZSCORE', nodes, node) then isExpired = true end
end
local version = redis.call('GET', versionKey)
if changes > 0 or not version then
  -- In microseconds, of which every call of a script takes several: unique, also after Redis has lost the previous ones.
  version = time[1] .. '.' .. time[2] .. ' ' .. node
  redis.call('SET', versionKey, version)
end

local commands = {}
-- Usually there is nothing but the last command that was followed, or no command at all.
local newest = redis.call('XREVRANGE', log, '+', followed == '' and '-' or followed, 'COUNT', 1)
local lastId = newest[1] and newest[1][1] or '0-0'
local isFollowed = lastId == followed
if not newest[1] and followed ~= '' and followed ~= '0-0' then
  -- Removed, or lost by Redis.
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  lastId = last[1] and last[1][1] or '0-0'
elseif followed ~= '' and not isFollowed then
  for _, entry in ipairs(redis.call('XRANGE', log, '(' .. followed, '+', 'COUNT', 1000)) do
    commands[#commands + 1] = entry[1]
    commands[#commands + 1] = entry[2][2]
    lastId = entry[1]
  end
end
local living = version ~= ARGV[5] and redis.call('ZRANGE', nodes, 0, -1, 'WITHSCORES')
return { lastId, living, redis.call('ZRANGE', tombstones, 0, 15), commands, isExpired and 1 or 0, nowText, version }
