-- Reads a channel's position and, in the same step, publications of its log. Starts an epoch if there is none.
-- redis/run.lua, generation.lua and position.lua stand before it.
--
-- KEYS  1 meta  2 log  further ones: what is kept beside the log
-- ARGV  1 epoch to start  2 TTL of an unused channel (s)  3 max publications to read (the log's size)
--       4 what to read: 'position': nothing; 'latest': the last ones; 'since': those after position 5, 6;
--         'after': those with a later timestamp than 8 and beyond position 5, 6
--       5 epoch  6 offset; for 'position', these and what follows are missing
--       7 '' or, from a node that received everything up to the position, the timestamp of the publication there. If the
--         log is shorter or has another one there, Redis has lost the log's tail and the epoch ends; if it has this one,
--         the position is confirmed for the current run of Redis. Never set for a position that a client sent.
--       8 timestamp
-- Returns { epoch, offset, timestamp, isWhole, id, publication, id, publication, ... } in order. isWhole is 1 if the
-- publications are exactly those that were requested. An id is followed by ' <except>' if some must not receive it.
-- For 'position' it returns '<epoch> <offset> <timestamp>', because a list costs the node more.
local meta, log = KEYS[1], KEYS[2]
local freshEpoch, idleTtl, max, wanted = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local askedEpoch, asked, expectedTimestamp, after = '', 0, '', nil
if wanted ~= 'position' then
  askedEpoch, asked, expectedTimestamp, after = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]
end

local state = redis.call('HMGET', meta, 'epoch', 'offset', 'timestamp', 'run', 'past')
local epoch, head, timestamp = state[1], tonumber(state[2]) or 0, state[3] or '0'
local isOfThisRun = epoch and state[4] == knownRun
if isHandedOn or not isOfThisRun then checkRun() end

-- Compares the log with a node's position: 'right', the same publication; 'forked', another one or none; 'unknown' if the
-- log does not reach back that far.
local function found()
  if head <= asked then return head == asked and timestamp == expectedTimestamp and 'right' or 'forked' end
  local id = expectedTimestamp .. '-' .. ARGV[6]
  if #redis.call('XRANGE', log, id, id) == 1 then return 'right' end
  local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  return oldest and tonumber(string.match(oldest[1], '%d+$')) <= asked and 'forked' or 'unknown'
end
local isNodePosition = expectedTimestamp ~= '' and epoch == askedEpoch
local evidence = isNodePosition and found()

if not epoch or evidence == 'forked' then
  epoch, head = freshEpoch, 0
  redis.call('DEL', log, unpack(KEYS, 3))
  beginEpoch(meta, epoch, timestamp, idleTtl)
elseif not isOfThisRun and evidence == 'right' then
  redis.call('HSET', meta, 'confirmed', knownRun)
elseif not isOfThisRun then
  local before = epoch
  epoch = enterRun(meta, epoch, state[2], freshEpoch)
  if epoch ~= before then state[5] = (state[5] or '') .. before .. ':' .. string.format('%.0f', head) .. ' ' end
end

-- A position of an earlier generation is valid up to where that ended. Subscribers that received later publications were
-- notified; the recovery of stock clients relies on timestamps, which do not show what was lost.
if wanted == 'since' and expectedTimestamp == '' and epoch ~= askedEpoch and state[5] then
  for generation, last in string.gmatch(state[5], '(%S+):(%d+) ') do
    if generation == askedEpoch and asked <= tonumber(last) then askedEpoch = epoch end
  end
end

local offset = string.format('%.0f', head)
if wanted == 'position' then return epoch .. ' ' .. offset .. ' ' .. timestamp end
local answer = { epoch, offset, timestamp, 0 }

local count = max
if wanted ~= 'latest' then
  if epoch ~= askedEpoch or asked > head then return answer end
  if wanted == 'after' and tonumber(timestamp) <= tonumber(after) then count = 0
  elseif wanted == 'after' then
    count = math.min(max, head - asked)
    -- There is a later publication, but the log keeps none.
    if count == 0 and head > asked then return answer end
  elseif head - asked > max then return answer
  else count = head - asked end
end
if count == 0 then answer[4] = 1 return answer end

-- A log has no gaps, so the newest `count` entries are those from offset head - count + 1 on.
local entries = redis.call('XREVRANGE', log, '+', '-', 'COUNT', count)
if wanted == 'since' and #entries < count then return answer end
if wanted == 'after' then
  local later = 0
  while later < #entries and tonumber(string.match(entries[later + 1][1], '^%d+')) > tonumber(after) do later = later + 1 end
  -- All entries are later, so an older one may be missing.
  if later == #entries and head - later > asked then return answer end
  for i = #entries, later + 1, -1 do entries[i] = nil end
end
answer[4] = 1
for i = #entries, 1, -1 do
  local fields = entries[i][2]
  answer[#answer + 1] = fields[4] and entries[i][1] .. ' ' .. fields[4] or entries[i][1]
  answer[#answer + 1] = fields[2]
end
return answer
