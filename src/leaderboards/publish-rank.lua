-- Publishes a member's rank, if it is newer than and different from the published one.
--
-- KEYS  1 meta  2 log  3 feed (of the rank's channel)  4 state  5 store-wide timestamp, omitted on Cluster
-- ARGV  1 to 5 as append.lua's epoch, size, log TTL, meta TTL, head  6 timestamp of the board that was read
--       7 rank  8 score ('null' for both: not on the board)  9 total  10 ms to the next publication
--       11 rank  12 score that this node published last, used if the state has expired
--       13 tail up to and with '"rank":'
-- Returns { outcome, epoch, offset, rank, score, total }: what is published at that position. The outcome is
-- 'published', 'same' (no change), 'stale' (a newer reading was published) or 'early' (must be retried).
local meta, state = KEYS[1], KEYS[4]
local metaTtl, timestamp, rank, score, total, tickMs = ARGV[4], ARGV[6], ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10])
local channel = {
  meta = meta, log = KEYS[2], feed = KEYS[3], timestampKey = KEYS[5] or '',
  epoch = ARGV[1], size = ARGV[2], logTtl = ARGV[3], metaTtl = metaTtl, head = ARGV[5],
}

positionBefore(meta, channel.epoch)
local known = redis.call('HMGET', state, 'timestamp', 'rank', 'score', 'total', 'nextAt')
local knownRank, knownScore = known[2] or ARGV[11], known[3] or ARGV[12]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = (tonumber(known[5]) or 0) - now

local outcome = 'published'
if tonumber(known[1] or 0) > tonumber(timestamp) then outcome = 'stale'
elseif rank == knownRank and score == knownScore then outcome = 'same'
elseif wait > 0 and wait <= tickMs then outcome = 'early' end

if outcome == 'published' then
  append(channel, ARGV[13] .. rank .. ',"previousRank":' .. knownRank .. ',"score":' .. score .. ',"total":' .. total .. '}')
  redis.call('HSET', state, 'timestamp', timestamp, 'rank', rank, 'score', score, 'total', total, 'nextAt',
    string.format('%.0f', now + tickMs))
elseif outcome == 'same' and known[1] then
  redis.call('HSET', state, 'timestamp', timestamp, 'total', total)
end
if outcome ~= 'same' or known[1] then redis.call('EXPIRE', state, metaTtl) end

local epoch, offset = openPosition(meta, ARGV[1], metaTtl)
if outcome == 'published' or outcome == 'same' then return { outcome, epoch, offset, rank, score, total } end
return { outcome, epoch, offset, knownRank, knownScore, known[4] or total }
