-- Sets and removes keys of a channel's state in one step, as one revision, or nothing if that would exceed a bound.
-- changes.lua stands before it.
--
-- KEYS  as in changes.lua
-- ARGV  1 max keys  2 max bytes of all entries  3 max removed keys to remember  4 TTL (s)
--       5 owner of the keys ('<node>|<connection>'), or ''
--       6 '' or, to own keys again that a connection had set, its owner before: a key that exists keeps its value, and
--         belongs to the connection only if one of the owners has it; one that was removed, by anything but the death of
--         the node, stays so
--       7.. for each change: key, JSON of the entry without its end ('' removes the key), JSON of the change, epoch
--         milliseconds at which it expires ('' for never)
-- Returns { revision }, or { 'keys' } or { 'bytes' } if the bound would be exceeded; with 6, { revision, key, ... }, the keys
-- that belong to the connection.
local maxKeys, maxBytes, owner, ownerBefore = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[5], ARGV[6]
local keys = stateKeys(KEYS)
local state = openState(keys)

local count = redis.call('HLEN', keys.entries)
local newCount, newBytes = count, state.bytes
for i = 7, #ARGV, 4 do
  local key, head = ARGV[i], ARGV[i + 1]
  local before = bytesOf(keys, key)
  -- Timestamp and time are 44 bytes of an entry.
  local after = head == '' and 0 or #key + #head + 44
  if before == 0 and after > 0 then newCount = newCount + 1 end
  if before > 0 and after == 0 then newCount = newCount - 1 end
  newBytes = newBytes - before + after
end
if newCount > maxKeys and newCount > count then return { 'keys' } end
if newBytes > maxBytes and newBytes > state.bytes then return { 'bytes' } end

local owned = {}
for i = 7, #ARGV, 4 do
  local key, head, change, due = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if head == '' then
    drop(state, key, change)
  elseif ownerBefore == '' then
    put(state, key, head, change, due, owner)
  else
    local ownerNow = redis.call('HGET', keys.owners, key)
    local isOwn = ownerNow == ownerBefore or ownerNow == owner
    local isThere = redis.call('HEXISTS', keys.entries, key) == 1
    if isThere and isOwn then redis.call('HSET', keys.owners, key, owner)
    elseif not isThere and (isOwn or not redis.call('ZSCORE', keys.removed, key)) then put(state, key, head, change, due, owner)
    else key = nil end
    owned[#owned + 1] = key
  end
end
local reply = { commit(state, tonumber(ARGV[3]), ARGV[4]) }
for _, key in ipairs(owned) do reply[#reply + 1] = key end
return reply
