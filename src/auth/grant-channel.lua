-- Grants one channel to all sessions of a user, whatever the rules of its kind, or takes such a grant back.
--
-- KEYS  1 user's index
-- ARGV  1 prefix of a session's key before its id (same slot)  2 channel  3 '1' to grant, '0' to take back
--       4 max granted channels of a session
-- Returns { id, revision, ... } of the sessions; nil, and nothing was granted, if one of them would have more than the max.
local index, prefix, channel, isGrant, max = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])

local changes = {}
for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  local state = redis.call('HMGET', prefix .. id, 'userId', 'granted')
  if state[1] then
    local granted = {}
    for other in string.gmatch(state[2] or '', '[^\n]+') do
      if other ~= channel then granted[#granted + 1] = other end
    end
    if isGrant and #granted >= max then return nil end
    if isGrant then granted[#granted + 1] = channel end
    changes[#changes + 1] = { id, table.concat(granted, '\n') }
  end
end

local answer = {}
for _, change in ipairs(changes) do
  local id, joined = change[1], change[2]
  local session = prefix .. id
  if joined == '' then redis.call('HDEL', session, 'granted') else redis.call('HSET', session, 'granted', joined) end
  answer[#answer + 1] = id
  answer[#answer + 1] = redis.call('HINCRBY', session, 'revision', 1)
end
return answer
