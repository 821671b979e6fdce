-- Reads all sessions of a user, the oldest first, and takes those that have ended out of the index.
--
-- KEYS  1 user's index
-- ARGV  1 what stands before the session id in a session's key (same slot)
-- Returns { { id, field, value, ... }, ... }.
local index, head = KEYS[1], ARGV[1]

local answer = {}
for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  local fields = redis.call('HGETALL', head .. id)
  if #fields == 0 then
    redis.call('ZREM', index, id)
  else
    table.insert(fields, 1, id)
    answer[#answer + 1] = fields
  end
end
return answer
