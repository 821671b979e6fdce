-- Reads where a channel stands and, in the same moment, publications of its log. Begins an epoch where there is none.
-- redis/run.lua, generation.lua and position.lua stand before it.
--
-- KEYS  1 meta  2 log
-- ARGV  1 epoch to begin with  2 life of an unused channel (s)  3 most publications to read (the log's size)
--       4 what to read: 'position': nothing; 'latest': the last ones; 'since': those after position 5, 6;
--         'after': those timestamped later than 8 and beyond position 5, 6
--       5 epoch  6 offset
--       7 from a node that was sent the position's publications itself, the timestamp of the one there, else '': where the
--         log is shorter or has another one there, the store has lost its tail, so the epoch ends here; where it has
--         this one the position is confirmed for the present run of Redis (never for a position that a stranger claims)
--       8 timestamp
-- Returns { epoch, offset, timestamp, isWhole, id, publication, id, publication, ... } in order; isWhole is 1 where the
-- publications are exactly all that were asked for.
local meta, log = KEYS[1], KEYS[2]
local freshEpoch, idleTtl, most, wanted = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local askedEpoch, asked, expectedTimestamp, after = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]

local state = redis.call('HMGET', meta, 'epoch', 'offset', 'timestamp', 'run', 'past')
local epoch, head, timestamp = state[1], tonumber(state[2]) or 0, state[3] or '0'
local isOfThisRun = epoch and state[4] == knownRun
if isHandedOn or not isOfThisRun then checkRun() end

-- What the log has at the position of a node: 'right', its publication; 'forked', another one or none; 'unknown' where
-- it does not reach back so far.
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
  redis.call('DEL', log)
  beginEpoch(meta, epoch, timestamp, idleTtl)
elseif not isOfThisRun and evidence == 'right' then
  redis.call('HSET', meta, 'confirmed', knownRun)
elseif not isOfThisRun then
  local before = epoch
  epoch = enterRun(meta, epoch, state[2], freshEpoch)
  if epoch ~= before then state[5] = (state[5] or '') .. before .. ':' .. string.format('%.0f', head) .. ' ' end
end

-- A position of an earlier generation is one of this log up to where that ended. Who was sent what came after it was
-- told; a stock client's recovery goes by timestamps, which say nothing of what was lost.
if wanted == 'since' and expectedTimestamp == '' and epoch ~= askedEpoch and state[5] then
  for generation, last in string.gmatch(state[5], '(%S+):(%d+) ') do
    if generation == askedEpoch and asked <= tonumber(last) then askedEpoch = epoch end
  end
end

local answer = { epoch, string.format('%.0f', head), timestamp, 0 }
if wanted == 'position' then return answer end

local count = most
if wanted ~= 'latest' then
  if epoch ~= askedEpoch or asked > head then return answer end
  if wanted == 'after' and tonumber(timestamp) <= tonumber(after) then count = 0
  elseif wanted == 'after' then
    count = math.min(most, head - asked)
    -- There is a later publication, and the log keeps none.
    if count == 0 and head > asked then return answer end
  elseif head - asked > most then return answer
  else count = head - asked end
end
if count == 0 then answer[4] = 1 return answer end

-- A log has no holes, so the newest `count` entries are those from offset head - count + 1 on.
local entries = redis.call('XREVRANGE', log, '+', '-', 'COUNT', count)
if wanted == 'since' and #entries < count then return answer end
if wanted == 'after' then
  local later = 0
  while later < #entries and tonumber(string.match(entries[later + 1][1], '^%d+')) > tonumber(after) do later = later + 1 end
  -- All read are later: then what is older must be known to be no part of it.
  if later == #entries and head - later > asked then return answer end
  for i = #entries, later + 1, -1 do entries[i] = nil end
end
answer[4] = 1
for i = #entries, 1, -1 do
  answer[#answer + 1] = entries[i][1]
  answer[#answer + 1] = entries[i][2][2]
end
return answer
