-- Removes keys of a channel's state that have come to their end. changes.lua stands before it.
--
-- KEYS  as in changes.lua
-- ARGV  1 max removed keys to remember  2 TTL (s)
--       3 which: 'due', those that have expired; 'owner', those of the connection 4 (as in `owners`) among 5..; 'node', those
--         of all connections of the node 4; 'user', those last set by the user 4, which are not remembered either; 'all'
-- Returns { removed keys, milliseconds until the next one expires }, the latter only if one does.
local which, subject = ARGV[3], ARGV[4]
local keys = stateKeys(KEYS)

local function chosen(now)
  local list = {}
  if which == 'due' then return redis.call('ZRANGEBYSCORE', keys.expiry, '-inf', now) end
  if which == 'all' then return redis.call('HKEYS', keys.entries) end
  if which == 'owner' then
    for i = 5, #ARGV do
      if redis.call('HGET', keys.owners, ARGV[i]) == subject then list[#list + 1] = ARGV[i] end
    end
    return list
  end
  local pairsOf = redis.call('HGETALL', which == 'node' and keys.owners or keys.entries)
  for i = 1, #pairsOf, 2 do
    local key, value = pairsOf[i], pairsOf[i + 1]
    local isChosen
    if which == 'node' then
      isChosen = string.sub(value, 1, #subject + 1) == subject .. '|'
    else
      local entry = cjson.decode(string.sub(value, string.find(value, ':', 1, true) + 1))
      isChosen = entry.from and entry.from.userId == subject
    end
    if isChosen then list[#list + 1] = key end
  end
  return list
end

if redis.call('EXISTS', keys.meta) == 0 then return { 0 } end
local state = openState(keys)
local removed = 0
for _, key in ipairs(chosen(string.format('%.0f', state.nowMs))) do
  local owner = which == 'node' and redis.call('HGET', keys.owners, key)
  if drop(state, key) then
    removed = removed + 1
    -- The node may turn out to live.
    if owner then redis.call('HSET', keys.owners, key, owner) end
  end
end
commit(state, tonumber(ARGV[1]), ARGV[2])
if which == 'user' then
  -- Nothing may remember the user: neither these keys, nor others that had the user's name.
  local hasForgotten = removed > 0
  for _, key in ipairs(redis.call('ZRANGE', keys.removed, 0, -1)) do
    local isNew = redis.call('ZSCORE', keys.removed, key) == state.nextTimestamp
    if removed > 0 and isNew or string.find(key, subject, 1, true) then
      redis.call('ZREM', keys.removed, key)
      redis.call('HDEL', keys.owners, key)
      hasForgotten = true
    end
  end
  if hasForgotten then redis.call('HSET', keys.meta, 'forgotten', state.nextTimestamp) end
end
local first = redis.call('ZRANGE', keys.expiry, 0, 0, 'WITHSCORES')
if not first[2] then return { removed } end
return { removed, math.max(first[2] - state.nowMs, 0) }
