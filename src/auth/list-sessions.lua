-- Reads all sessions of a user, the oldest first, and removes ended ones from the index.
--
-- KEYS  1 user's index
-- ARGV  1 prefix of a session's key before its id (same slot)
-- Returns { { id, field, value, ... }, ... }.
local index, prefix = KEYS[1], ARGV[1]

local answer = {}
for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  local fields = redis.call('HGETALL', prefix .. id)
  if #fields == 0 then
    redis.call('ZREM', index, id)
  else
    table.insert(fields, 1, id)
    answer[#answer + 1] = fields
  end
end
return answer
