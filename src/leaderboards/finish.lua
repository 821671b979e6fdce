-- Finishes a tick: publishes the changes and stores the published top, unless another tick was claimed since.
--
-- KEYS  1 meta  2 log  3 feed (of the board's channel)  4 state  5 store-wide timestamp, omitted on Cluster
-- ARGV  1 to 5 as append.lua's epoch, size, log TTL, meta TTL, head  6 claim  7 timestamp that was read
--       8 season's start (ms)  9 total  10 top as JSON  11 ms to the next tick
--       12 tail of the season's publication, '' for none  13 tail of the diff, '' for none
-- Returns { 'lost' } if there is a later claim, else { 'done', timestamp of the board }.
local state = KEYS[4]
local channel = {
  meta = KEYS[1], log = KEYS[2], feed = KEYS[3], timestampKey = KEYS[5] or '',
  epoch = ARGV[1], size = ARGV[2], logTtl = ARGV[3], metaTtl = ARGV[4], head = ARGV[5],
}
local claim, timestamp, startsAt, total, top, tickMs = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local seasonTail, diffTail = ARGV[12], ARGV[13]

local known = redis.call('HMGET', state, 'claim', 'timestamp')
if known[1] ~= claim then return { 'lost' } end

positionBefore(channel.meta, channel.epoch)
if seasonTail ~= '' then append(channel, seasonTail) end
if diffTail ~= '' then
  append(channel, diffTail)
  redis.call('HINCRBY', state, 'revision', 1)
end
local time = redis.call('TIME')
local nextAt = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tickMs)
redis.call('HINCRBY', state, 'claim', 1)
redis.call('HSET', state, 'published', timestamp, 'total', total, 'top', top, 'nextAt', nextAt)
if startsAt ~= '0' then redis.call('HSET', state, 'announced', startsAt) end
return { 'done', known[2] }
