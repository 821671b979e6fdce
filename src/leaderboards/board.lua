-- Shared by the scripts of a board: its clock, its places, its changes.
--
-- The state of a board is a hash:
--   stamp      of its last change: microseconds of Redis' clock, moved on by one where the clock has not moved
--   season     start (ms) of the latest season seen; a clock that steps back cannot open an older one again
--   published  the stamp up to which subscribers were told; the board is clean where it equals `stamp`
--   announced  the season they were told of
--   revision   how many diffs were published; top, total: what they led to
--   claim      fencing number of the last tick; nextAt: when (ms) another may begin
--
-- A member stands in the ranking as its place, 7 bytes made of the stamp at which it reached its score, and its name.
-- Redis orders equal scores by these bytes. Where high scores lead the ranking is read backwards, so there the bytes
-- count down. The score is the sorted set's own, so none of its precision is spent on ties.
local placeLength = 7
local highestStamp = 9007199254740991

local function placeOf(stamp, isDesc)
  if isDesc then stamp = highestStamp - stamp end
  local low = stamp % 4294967296
  return struct.pack('>I3I4', (stamp - low) / 4294967296, low)
end

local function stampOf(place, isDesc)
  local high, low = struct.unpack('>I3I4', place)
  local stamp = high * 4294967296 + low
  return isDesc and highestStamp - stamp or stamp
end

local function whole(number) return string.format('%.0f', number) end

-- The board as it stands, or nil and the moment (ms) where the caller's season is not the one of that moment.
local function openBoard(state, startsAt, endsAt)
  local known = redis.call('HMGET', state, 'stamp', 'published', 'season')
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local moment = math.max(now, tonumber(known[3]) or 0)
  if moment < tonumber(startsAt) or moment >= tonumber(endsAt) then return nil, whole(moment) end
  local isSeasonal = startsAt ~= '0'
  return {
    now = now, stamp = known[1], isClean = known[1] == known[2],
    nextStamp = math.max(time[1] * 1000000 + time[2], (tonumber(known[1]) or 0) + 1),
    isNewSeason = isSeasonal and known[3] ~= startsAt, hasSeason = known[3],
  }
end

-- Writes down the stamp of the last change. Watching nodes are told once, when a clean board becomes dirty.
local function markChanged(board, state, touched, stamp, startsAt)
  redis.call('HSET', state, 'stamp', whole(stamp))
  if board.isNewSeason then redis.call('HSET', state, 'season', startsAt) end
  if board.isClean then redis.call('SPUBLISH', touched, '') end
end
