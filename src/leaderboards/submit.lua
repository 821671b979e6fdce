-- Takes submissions in order, all at one moment, and tells where each member stands after and stood before the call.
--
-- KEYS  1 state  2 ranking  3 places  4 data  5 touched
-- ARGV  1 order  2 season's start (ms)  3 its end (ms)  4 end of the keys' life (s), '0' for none  5 '1' with ranks
--       then four a submission: member, score, mode, data ('' keeps what there is, 'null' forgets it)
-- Returns { 'turned', now } where the season is another, else { 'ok', total } and three a submission: score held now
-- ('' where adding would overflow: refused), rank after, rank before (0: none).
local state, ranking, places, data, touched = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local isDesc, startsAt, endsAt, expireAt, wantsRanks = ARGV[1] == 'desc', ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local rankCommand = isDesc and 'ZREVRANK' or 'ZRANK'
local first, width = 6, 4

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end
local stamp = board.nextStamp - 1

local function entryOf(member, place) return string.sub(place, 1, placeLength) .. member end

local function rankOf(member, place)
  return wantsRanks and place and redis.call(rankCommand, ranking, entryOf(member, place)) + 1 or 0
end

local function changesData(member, text)
  if text == '' or text == (redis.call('HGET', data, member) or 'null') then return false end
  if text == 'null' then redis.call('HDEL', data, member) else redis.call('HSET', data, member, text) end
  return true
end

local members = {}
for at = first, #ARGV, width do members[#members + 1] = ARGV[at] end
local before = redis.call('HMGET', places, unpack(members))

-- A member may come more than once in a call: `after` is what it holds by then.
local after, isRefused, rankBefore = {}, {}, {}
for i, member in ipairs(members) do
  local at = first + (i - 1) * width
  local place = after[member] or before[i]
  local score = scoreAfter(place and tonumber(string.sub(place, placeLength + 1)), ARGV[at + 1], ARGV[at + 2], isDesc)
  if score then
    stamp = stamp + 1
    after[member] = placeOf(stamp, isDesc) .. score
  end
  isRefused[i] = score == false
  if not isRefused[i] and changesData(member, ARGV[at + 3]) then stamp = stamp + 1 end
  rankBefore[i] = rankOf(member, before[i])
end

local left, ranked, held = {}, {}, {}
for i, member in ipairs(members) do
  local place = after[member]
  if place then
    if before[i] then left[#left + 1] = entryOf(member, before[i]) end
    ranked[#ranked + 1], ranked[#ranked + 2] = string.sub(place, placeLength + 1), entryOf(member, place)
    held[#held + 1], held[#held + 2] = member, place
  end
end
if #left > 0 then redis.call('ZREM', ranking, unpack(left)) end
if #held > 0 then
  redis.call('ZADD', ranking, unpack(ranked))
  redis.call('HSET', places, unpack(held))
end
if stamp >= board.nextStamp then markChanged(board, state, touched, stamp, startsAt) end
if stamp >= board.nextStamp and expireAt ~= '0' then
  for _, key in ipairs({ state, ranking, places, data }) do redis.call('EXPIREAT', key, expireAt) end
end

local answer = { 'ok', redis.call('ZCARD', ranking) }
for i, member in ipairs(members) do
  local place = after[member] or before[i]
  answer[#answer + 1] = isRefused[i] and '' or string.sub(place, placeLength + 1)
  answer[#answer + 1] = rankOf(member, place)
  answer[#answer + 1] = rankBefore[i]
end
return answer
