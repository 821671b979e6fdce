-- Reads where a channel stands and, in the same moment, publications of its log. Begins an epoch where there is none.
--
-- KEYS  1 meta  2 log
-- ARGV  1 epoch to begin with  2 life of an unused channel (s)  3 most publications to read (the log's size)
--       4 'since': those after position 5, 6; 'latest': the last of them; 'position': none
--       5 epoch  6 offset of the position to read from
--       7 '1' from a node that was sent the position's publications itself: where the log is shorter than that, the
--         store has lost its tail, so the epoch ends here (never for a position that a stranger claims)
-- Returns { epoch, offset, stamp, isWhole, id, publication, id, publication, ... } in order; isWhole is 1 where the
-- publications are exactly all after the position.
local meta, log = KEYS[1], KEYS[2]
local freshEpoch, idleTtl, most, wanted = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local sinceEpoch, since, isWitness = ARGV[5], tonumber(ARGV[6]), ARGV[7] == '1'

local state = redis.call('HMGET', meta, 'epoch', 'offset', 'stamp')
local epoch, head, stamp = state[1], tonumber(state[2]) or 0, state[3] or '0'
if not epoch or (isWitness and epoch == sinceEpoch and head < since) then
  epoch, head = freshEpoch, 0
  redis.call('DEL', log)
  redis.call('HSET', meta, 'epoch', epoch, 'offset', '0', 'stamp', stamp)
  redis.call('EXPIRE', meta, idleTtl)
end

local answer = { epoch, string.format('%.0f', head), stamp, 0 }
if wanted == 'position' then return answer end

local count = most
if wanted == 'since' then
  if epoch ~= sinceEpoch or since > head or head - since > most then return answer end
  count = head - since
end
if count == 0 then answer[4] = 1 return answer end

local entries = redis.call('XREVRANGE', log, '+', '-', 'COUNT', count)
if wanted == 'since' and #entries < count then return answer end
answer[4] = 1
for i = #entries, 1, -1 do
  answer[#answer + 1] = entries[i][1]
  answer[#answer + 1] = entries[i][2][2]
end
return answer
