-- Claims the board's next tick for one node and returns what to compare.
--
-- KEYS  1 state  2 ranking  3 data  4 touched
-- ARGV  1 order  2 season's start (ms)  3 its end (ms)  4 expiry of the keys (expiryOf in board.lua)
--       5 entries of the top  6 duration of the claim (ms)
-- Returns { 'turned', now } if the season is wrong, { 'clean', timestamp } if everything is published,
-- { 'early', timestamp, ms to wait, season announced } if the last tick or claim is too recent, else { 'claimed', timestamp, claim, revision,
-- top as published ('' for none), season announced ('' for none), total } and three an entry: member, score, data.
local state, ranking, data, touched = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local isDesc, startsAt, endsAt = ARGV[1] == 'desc', ARGV[2], ARGV[3]
local top, claimMs = tonumber(ARGV[5]), tonumber(ARGV[6])

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end
local timestamp = board.timestamp or '0'

-- A season without scores starts with its first tick. The state of a board without any scores expires after the season.
if board.isNewSeason then
  if board.hasSeason then
    timestamp = whole(board.nextTimestamp)
    markChanged(board, state, touched, board.nextTimestamp, startsAt)
    board.isClean = false
  else
    redis.call('HSET', state, 'season', startsAt, 'announced', startsAt)
  end
  redis.call('EXPIREAT', state, board.timestamp and whole(expiryOf(board, ARGV[4]) + 86400) or whole(endsAt / 1000 + 3600))
end
-- Data that expired or was deleted is published as an empty board.
if board.isClean and tonumber(redis.call('HGET', state, 'total') or 0) > 0 and redis.call('EXISTS', ranking) == 0 then
  timestamp = whole(board.nextTimestamp)
  markChanged(board, state, touched, board.nextTimestamp, startsAt)
  board.isClean = false
end
if board.isClean then return { 'clean', timestamp } end

local known = redis.call('HMGET', state, 'nextAt', 'revision', 'top', 'announced')
local wait = (tonumber(known[1]) or 0) - board.now
-- A clock that steps back must not stop the ticks.
local announced = known[4] or board.hasSeason or ''
if wait > 0 and wait <= math.max(claimMs, 60000) then return { 'early', timestamp, wait, announced } end

redis.call('HSET', state, 'nextAt', whole(board.now + claimMs))
local claim = redis.call('HINCRBY', state, 'claim', 1)
local answer = {
  'claimed', timestamp, claim, tonumber(known[2]) or 0, known[3] or '', announced, redis.call('ZCARD', ranking),
}
local ranked = redis.call(isDesc and 'ZREVRANGE' or 'ZRANGE', ranking, 0, top - 1, 'WITHSCORES')
if #ranked == 0 then return answer end
local members = {}
for i = 1, #ranked, 2 do members[#members + 1] = string.sub(ranked[i], placeLength + 1) end
local kept = redis.call('HMGET', data, unpack(members))
for i, member in ipairs(members) do
  answer[#answer + 1] = member
  answer[#answer + 1] = ranked[2 * i]
  answer[#answer + 1] = kept[i]
end
return answer
