-- Shared by the scripts that read or change the state of a channel. Functions take the keys of one channel, as `stateKeys`
-- names them:
--
-- meta     hash: revision, timestamp (microseconds of Redis' clock, increasing) of the last change; bytes of all entries;
--          forgotten: timestamp of the last removal that `removed` no longer has
-- entries  hash key -> '<timestamp>:<JSON of the entry>'
-- removed  sorted set of removed keys by timestamp
-- expiry   sorted set of keys by the epoch milliseconds at which they expire
-- owners   hash key -> '<node>|<connection>', whose end removes the key; kept if that was because the node died
local function stateKeys(KEYS)
  return { meta = KEYS[1], entries = KEYS[2], removed = KEYS[3], expiry = KEYS[4], owners = KEYS[5], feed = KEYS[6] }
end

local function openState(keys)
  local meta = redis.call('HMGET', keys.meta, 'revision', 'timestamp', 'bytes', 'forgotten')
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local timestamp = tonumber(meta[2]) or 0
  return {
    keys = keys, changes = {}, nowMs = math.floor(now / 1000), revision = tonumber(meta[1]) or 0,
    timestamp = string.format('%.0f', timestamp), nextTimestamp = string.format('%.0f', math.max(now, timestamp + 1)),
    bytes = tonumber(meta[3]) or 0, forgotten = tonumber(meta[4]) or 0,
  }
end

local function keepFor(keys, ttl)
  for _, name in ipairs({ 'meta', 'entries', 'removed', 'expiry', 'owners' }) do redis.call('EXPIRE', keys[name], ttl) end
end

local function bytesOf(keys, key)
  local length = redis.call('HSTRLEN', keys.entries, key)
  return length == 0 and 0 or length + #key
end

-- `head` is the entry's JSON without its end; `due` and `owner` may be ''.
local function put(state, key, head, change, due, owner)
  local keys = state.keys
  local entry = state.nextTimestamp .. ':' .. head .. ',"updatedAt":' .. string.sub(state.nextTimestamp, 1, -4) .. '}'
  state.bytes = state.bytes - bytesOf(keys, key) + #key + #entry
  redis.call('HSET', keys.entries, key, entry)
  redis.call('ZREM', keys.removed, key)
  if due == '' then redis.call('ZREM', keys.expiry, key) else redis.call('ZADD', keys.expiry, due, key) end
  if owner == '' then redis.call('HDEL', keys.owners, key) else redis.call('HSET', keys.owners, key, owner) end
  state.changes[#state.changes + 1] = key .. '\n' .. change
end

-- Returns false if there is no such key.
local function drop(state, key, change)
  local keys = state.keys
  redis.call('HDEL', keys.owners, key)
  state.bytes = state.bytes - bytesOf(keys, key)
  if redis.call('HDEL', keys.entries, key) == 0 then return false end
  redis.call('ZADD', keys.removed, state.nextTimestamp, key)
  redis.call('ZREM', keys.expiry, key)
  state.changes[#state.changes + 1] = key .. '\n' .. (change or '{"key":' .. cjson.encode(key) .. ',"value":null}')
  return true
end

-- Publishes what was changed as one revision, '<revision>:<timestamp>:<timestamp before>' and a line for each key and each
-- change. Keeps at most `maxRemoved` removed keys, and everything for `ttl` seconds. Returns the revision.
local function commit(state, maxRemoved, ttl)
  local keys = state.keys
  if #state.changes == 0 then return state.revision end
  local surplus = redis.call('ZCARD', keys.removed) - maxRemoved
  if surplus > 0 then
    local dropped = redis.call('ZRANGE', keys.removed, 0, surplus - 1, 'WITHSCORES')
    redis.call('HSET', keys.meta, 'forgotten', dropped[#dropped])
    redis.call('ZREMRANGEBYRANK', keys.removed, 0, surplus - 1)
    for i = 1, #dropped, 2 do redis.call('HDEL', keys.owners, dropped[i]) end
  end
  local revision = string.format('%.0f', state.revision + 1)
  redis.call('HSET', keys.meta, 'revision', revision, 'timestamp', state.nextTimestamp, 'bytes', state.bytes)
  keepFor(keys, ttl)
  local head = revision .. ':' .. state.nextTimestamp .. ':' .. state.timestamp
  redis.call('SPUBLISH', keys.feed, head .. '\n' .. table.concat(state.changes, '\n'))
  return state.revision + 1
end
