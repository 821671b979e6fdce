-- Takes the board's next tick for one node and hands out what that node has to compare.
--
-- KEYS  1 state  2 ranking  3 data  4 touched
-- ARGV  1 order  2 season's start (ms)  3 its end (ms)  4 end of the keys' life (s), '0' for none
--       5 entries of the top  6 life of the claim (ms)
-- Returns { 'turned', now } where the season is another, { 'clean', stamp } where subscribers know everything,
-- { 'early', stamp, ms to wait } where a tick was made or claimed just now, else { 'claimed', stamp, claim, revision,
-- top as published ('' for none), season announced ('' for none), total } and three an entry: member, score, data.
local state, ranking, data, touched = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local isDesc, startsAt, endsAt, expireAt = ARGV[1] == 'desc', ARGV[2], ARGV[3], ARGV[4]
local top, claimMs = tonumber(ARGV[5]), tonumber(ARGV[6])

local board, moment = openBoard(state, startsAt, endsAt)
if not board then return { 'turned', moment } end
local stamp = board.stamp or '0'

-- A season that nobody has written in begins with the first tick in it. A board that was never written to is only
-- remembered for as long as somebody may wait for its next season.
if board.isNewSeason then
  if board.hasSeason then
    stamp = whole(board.nextStamp)
    markChanged(board, state, touched, board.nextStamp, startsAt)
    board.isClean = false
  else
    redis.call('HSET', state, 'season', startsAt, 'announced', startsAt)
  end
  redis.call('EXPIREAT', state, board.stamp and expireAt or whole(endsAt / 1000 + 3600))
end
if board.isClean then return { 'clean', stamp } end

local known = redis.call('HMGET', state, 'nextAt', 'revision', 'top', 'announced')
local wait = (tonumber(known[1]) or 0) - board.now
-- A clock that stepped back must not stop the ticks.
if wait > 0 and wait <= math.max(claimMs, 60000) then return { 'early', stamp, wait } end

redis.call('HSET', state, 'nextAt', whole(board.now + claimMs))
local claim = redis.call('HINCRBY', state, 'claim', 1)
local answer = {
  'claimed', stamp, claim, tonumber(known[2]) or 0, known[3] or '', known[4] or '', redis.call('ZCARD', ranking),
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
