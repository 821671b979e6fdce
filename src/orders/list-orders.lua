-- Lists orders of an index, the newest first.
--
-- KEYS  1 members  2 statuses
-- ARGV  1 member to start after, '' for the newest  2 status, '' for any  3 max orders  4 max members to examine
-- Returns { last member examined ('' if there are no more), member, member, ... }.
local members, statuses = KEYS[1], KEYS[2]
local after, status, limit, maxExamined = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local from = after == '' and '+' or '(' .. after
local examined = redis.call('ZREVRANGEBYLEX', members, from, '-', 'LIMIT', 0, maxExamined)
local answer = { '' }
for i, member in ipairs(examined) do
  local known = status ~= '' and redis.call('HGET', statuses, member)
  if status == '' or (known and string.match(known, '^.-:(.*)$') == status) then answer[#answer + 1] = member end
  if #answer > limit or i == maxExamined then
    answer[1] = member
    break
  end
end
return answer
