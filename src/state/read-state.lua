-- Reads a channel's state in one step. changes.lua stands before it.
--
-- KEYS  as in changes.lua
-- ARGV  1 TTL (s)  2 timestamp since which removed keys are wanted, or ''
-- Returns { revision, timestamp, forgotten, milliseconds until the next key expires or '', entries, removed }, entries as
-- { key, '<timestamp>:<JSON>', ... }, removed as { key, timestamp, ... }.
local keys = stateKeys(KEYS)
local state = openState(keys)
keepFor(keys, ARGV[1])

local due = redis.call('ZRANGE', keys.expiry, 0, 0, 'WITHSCORES')[2]
local removed = ARGV[2] == '' and {} or redis.call('ZRANGEBYSCORE', keys.removed, '(' .. ARGV[2], '+inf', 'WITHSCORES')
return {
  state.revision, state.timestamp, string.format('%.0f', state.forgotten), due and math.max(due - state.nowMs, 0) or '',
  redis.call('HGETALL', keys.entries), removed,
}
