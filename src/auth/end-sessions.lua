-- Ends sessions of one user: one of them, or all, or all but one.
--
-- KEYS  1 user's index
-- ARGV  1 prefix of a session's key before its id (same slot)
--       2 the session to end, '' for all  3 the session to keep, '' for none
--       4 ms for which an ended session cannot be adopted again, '0' if sessions are never adopted
-- Returns { id, userId, id, userId, ... } of the sessions that existed.
local index, prefix, only, kept, endedMs = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local ids = { only }
if only == '' then ids = redis.call('ZRANGE', index, 0, -1) end

local answer = {}
for _, id in ipairs(ids) do
  if id ~= kept then
    local userId = redis.call('HGET', prefix .. id, 'userId')
    redis.call('DEL', prefix .. id)
    redis.call('ZREM', index, id)
    if endedMs ~= '0' then redis.call('SET', prefix .. id .. ':ended', '1', 'PX', endedMs) end
    if userId then
      answer[#answer + 1] = id
      answer[#answer + 1] = userId
    end
  end
end
return answer
