-- Ends sessions of one user: one of them, or all, or all but one.
--
-- KEYS  1 user's index
-- ARGV  1 what stands before the session id in a session's key (same slot)
--       2 the one to end, '' for all  3 the one to keep, '' for none
-- Returns { id, userId, id, userId, ... } of those that were alive.
local index, head, only, kept = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local ids = { only }
if only == '' then ids = redis.call('ZRANGE', index, 0, -1) end

local answer = {}
for _, id in ipairs(ids) do
  if id ~= kept then
    local userId = redis.call('HGET', head .. id, 'userId')
    redis.call('DEL', head .. id)
    redis.call('ZREM', index, id)
    if userId then
      answer[#answer + 1] = id
      answer[#answer + 1] = userId
    end
  end
end
return answer
