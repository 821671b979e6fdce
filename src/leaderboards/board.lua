-- Included by all scripts of a board: its clock, tie-breaking, and changes.
--
-- The state of a board is a hash:
--   timestamp  of its last change: microseconds of Redis time, incremented by one if the clock has not advanced
--   season     start (ms) of the latest season; a clock that steps back cannot reopen an older one
--   published  the timestamp up to which changes were published; the board is clean if it equals `timestamp`
--   announced  the last published season
--   revision   number of published diffs; top, total: the state after the last one
--   claim      fencing number of the last tick; nextAt: when (ms) the next one may start
--
-- A member of the ranking is 7 bytes made of the timestamp at which it reached its score (its place), and its name. Redis
-- orders equal scores by these bytes. If high scores lead, the ranking is read backwards, so the bytes count down. The
-- score is the sorted set's own, so ties cost no precision.
local placeLength = 7
local maxTimestamp = 9007199254740991

local function placeOf(timestamp, isDesc)
  if isDesc then timestamp = maxTimestamp - timestamp end
  local low = timestamp % 4294967296
  return struct.pack('>I3I4', (timestamp - low) / 4294967296, low)
end

local function timestampOf(place, isDesc)
  local high, low = struct.unpack('>I3I4', place)
  local timestamp = high * 4294967296 + low
  return isDesc and maxTimestamp - timestamp or timestamp
end

local function whole(number) return string.format('%.0f', number) end

-- The state of the board, or nil and the current time (ms) if the caller's season is not the current one.
local function openBoard(state, startsAt, endsAt)
  local known = redis.call('HMGET', state, 'timestamp', 'published', 'season')
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local moment = math.max(now, tonumber(known[3]) or 0)
  if moment < tonumber(startsAt) or moment >= tonumber(endsAt) then return nil, whole(moment) end
  local isSeasonal = startsAt ~= '0'
  return {
    now = now, timestamp = known[1], isClean = known[1] == known[2],
    nextTimestamp = math.max(time[1] * 1000000 + time[2], (tonumber(known[1]) or 0) + 1),
    isNewSeason = isSeasonal and known[3] ~= startsAt, hasSeason = known[3],
  }
end

-- When data that was changed now expires (epoch s): text is '0' for never, an absolute time, or '+' and a TTL.
local function expiryOf(board, text)
  local ttl = string.match(text, '^%+(%d+)$')
  return ttl and math.floor(board.now / 1000) + tonumber(ttl) or tonumber(text)
end

-- The state outlives the data by a day, so that ticks notice that the data has expired. A board that is kept for ever may
-- have been deleted before, or had a TTL.
local function expireAt(time, state, dataKeys)
  if time == 0 then
    if redis.call('PERSIST', state) == 1 then
      for _, key in ipairs(dataKeys) do redis.call('PERSIST', key) end
    end
    return
  end
  redis.call('EXPIREAT', state, time + 86400)
  for _, key in ipairs(dataKeys) do redis.call('EXPIREAT', key, time) end
end

-- Stores the timestamp of the last change. Nodes with subscribers are notified once, when a clean board becomes dirty, with
-- the W3C traceparent of that change, '' for none.
local function markChanged(board, state, touched, timestamp, startsAt, trace)
  redis.call('HSET', state, 'timestamp', whole(timestamp))
  if board.isNewSeason then redis.call('HSET', state, 'season', startsAt) end
  if board.isClean then redis.call('SPUBLISH', touched, trace or '') end
end
