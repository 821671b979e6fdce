-- Included by the scripts that apply submissions; their KEYS 1 to 5 and ARGV 1 to 6 are these.
--
-- KEYS  1 state  2 ranking  3 places  4 data  5 touched
-- ARGV  1 order  2 season's start (ms)  3 its end (ms)  4 expiry of the keys (expiryOf in board.lua)  5 '1' with ranks
--       6 traceparent, '' for none
--
-- apply(board, at) applies submissions in order. `at` lists where each starts in ARGV, at least one: member, score, mode,
-- data ('' keeps the current data, 'null' removes it).
--
-- Returns { 'ok', or 'first' if the board was empty in this season, total } and for each submission the current score ('' if it was refused because of an overflow) and,
-- with ranks, rank after and rank before (0: none).
local function apply(board, at)
  local state, ranking, places, data, touched = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
  local isDesc, startsAt, wantsRanks = ARGV[1] == 'desc', ARGV[2], ARGV[5] == '1'
  local rankCommand = isDesc and 'ZREVRANK' or 'ZRANK'
  local count, timestamp = #at, board.nextTimestamp - 1
  -- This code is a large part of a submission's cost: loops look up no globals and no lengths.
  local call, sub = redis.call, string.sub

  local function rankOf(member, place)
    return place and call(rankCommand, ranking, sub(place, 1, placeLength) .. member) + 1 or 0
  end

  local function changesData(member, text)
    if text == (call('HGET', data, member) or 'null') then return false end
    if text == 'null' then call('HDEL', data, member) else call('HSET', data, member, text) end
    return true
  end

  local members = {}
  for i = 1, count do members[i] = ARGV[at[i]] end
  local before = call('HMGET', places, unpack(members))

  -- A member may occur several times in a call: `after` is its current place.
  local after, isRefused, rankBefore = {}, {}, {}
  for i = 1, count do
    local first = at[i]
    local member, text, mode, newData = members[i], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
    local place = after[member] or before[i]
    local score = scoreAfter(place and tonumber(sub(place, placeLength + 1)), text, mode, isDesc)
    if score then
      timestamp = timestamp + 1
      after[member] = placeOf(timestamp, isDesc) .. score
    end
    isRefused[i] = score == false
    if newData ~= '' and score ~= false and changesData(member, newData) then timestamp = timestamp + 1 end
    if wantsRanks then rankBefore[i] = rankOf(member, before[i]) end
  end

  local left, ranked, held, leaving, writing = {}, {}, {}, 0, 0
  for i = 1, count do
    local member, old = members[i], before[i]
    local place = after[member]
    if place and old then
      leaving = leaving + 1
      left[leaving] = sub(old, 1, placeLength) .. member
    end
    if place then
      ranked[writing + 1], ranked[writing + 2] = sub(place, placeLength + 1), sub(place, 1, placeLength) .. member
      held[writing + 1], held[writing + 2] = member, place
      writing = writing + 2
    end
  end
  local isFirst = writing > 0 and leaving == 0 and call('EXISTS', ranking) == 0
  if leaving > 0 then call('ZREM', ranking, unpack(left)) end
  if writing > 0 then
    call('ZADD', ranking, unpack(ranked))
    call('HSET', places, unpack(held))
  end
  if timestamp >= board.nextTimestamp then markChanged(board, state, touched, timestamp, startsAt, ARGV[6]) end
  -- Also a score that changes nothing, such as one that is no record, keeps the board.
  expireAt(expiryOf(board, ARGV[4]), state, { ranking, places, data })

  local answer, filled = { isFirst and 'first' or 'ok', call('ZCARD', ranking) }, 2
  for i = 1, count do
    local place = after[members[i]] or before[i]
    answer[filled + 1] = isRefused[i] and '' or sub(place, placeLength + 1)
    if wantsRanks then answer[filled + 2], answer[filled + 3] = rankOf(members[i], place), rankBefore[i] end
    filled = filled + (wantsRanks and 3 or 1)
  end
  return answer
end
