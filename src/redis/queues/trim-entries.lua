-- Deletes the entries that every group of the stream has acknowledged, and idle consumers.
--
-- KEYS  1 stream
-- ARGV  1 group  2 consumer: other consumers of the group without pending entries are deleted
-- Returns the number of deleted entries.
local stream, group, consumer = KEYS[1], ARGV[1], ARGV[2]

local function isNumberBelow(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

-- Exact for ids of any size: Lua's numbers are not.
local function isBelow(a, b)
  local aTime, aCount = string.match(a, '(%d+)-(%d+)')
  local bTime, bCount = string.match(b, '(%d+)-(%d+)')
  if aTime ~= bTime then return isNumberBelow(aTime, bTime) end
  return isNumberBelow(aCount, bCount)
end

if redis.call('EXISTS', stream) == 0 then return 0 end
local lowest
for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local name, pending, delivered = info[2], info[6], info[8]
  local unfinished = pending > 0 and redis.call('XPENDING', stream, name)[2] or delivered
  if not lowest or isBelow(unfinished, lowest) then lowest = unfinished end
  if name == group then
    for _, other in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
      if other[2] ~= consumer and other[4] == 0 then redis.call('XGROUP', 'DELCONSUMER', stream, group, other[2]) end
    end
  end
end
if not lowest then return 0 end
return redis.call('XTRIM', stream, 'MINID', '~', lowest, 'LIMIT', 0)
