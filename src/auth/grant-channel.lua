-- Grants one channel to all sessions of a user, whatever the rules of its kind, or takes such a grant back.
--
-- KEYS  1 user's index
-- ARGV  1 prefix of a session's key before its id (same slot)  2 channel  3 '1' to grant, '0' to take back
--       4 max granted channels of a session
-- Returns { id, granted channels joined by line breaks, ... } of the sessions; one over the max is left as it is.
local index, prefix, channel, isGrant, max = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])

local answer = {}
for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  local session = prefix .. id
  local state = redis.call('HMGET', session, 'userId', 'granted')
  if state[1] then
    local granted = {}
    for other in string.gmatch(state[2] or '', '[^\n]+') do
      if other ~= channel then granted[#granted + 1] = other end
    end
    if isGrant and #granted < max then granted[#granted + 1] = channel end
    local joined = table.concat(granted, '\n')
    if joined == '' then redis.call('HDEL', session, 'granted') else redis.call('HSET', session, 'granted', joined) end
    redis.call('HINCRBY', session, 'revision', 1)
    answer[#answer + 1] = id
    answer[#answer + 1] = joined
  end
end
return answer
