-- Stores the latest signal of a name and publishes it on the order's channel, at most once per interval: the first
-- immediately, and the last of the others when the interval ends.
--
-- KEYS  1 order  2 signals, each '<at>:<data>'  3 signal marks  4 idempotency key, the order key again if there is none
--       5 meta  6 log  7 feed  8 store-wide timestamp, omitted on Cluster (5 to 8: append.lua)
-- ARGV  1 name  2 data as JSON, '' to publish the waiting signal  3 interval (ms)  4 max names  5 idempotency TTL (s)
--       6 epoch  7 log size  8 log TTL  9 meta TTL  10 head (6 to 10: append.lua)
--       11 tail without the signal's data and the braces that close it
-- Returns { outcome, ... }: 'unknown' (no such order), 'full' (too many names), 'duplicate', 'kept' (a publication is
-- already scheduled, or nothing waits), 'waits' with the milliseconds until it may be published, 'published' with its
-- version, its data and the order's record.
local order, signals, marks, once = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local name, data, interval, maxNames, onceTtl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]

local record = redis.call('HGET', order, 'record')
if not record then return { 'unknown' } end
positionBefore(KEYS[5], ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mark = redis.call('HGET', marks, name) or '0:0:0'
local version, publishedAt, isWaiting = string.match(mark, '(%d+):(%d+):(%d)')
local function setMark(newVersion, at, waits)
  redis.call('HSET', marks, name, string.format('%.0f:%.0f:%d', newVersion, at, waits))
end

if data == '' and isWaiting == '0' then return { 'kept' } end
if data ~= '' then
  if redis.call('HEXISTS', signals, name) == 0 and redis.call('HLEN', signals) >= maxNames then return { 'full' } end
  if once ~= order and not redis.call('SET', once, '1', 'NX', 'EX', onceTtl) then
    -- The caller of the first time may not have learned that it waits.
    if isWaiting == '1' then return { 'waits', math.max(publishedAt + interval - now, 0) } end
    return { 'duplicate' }
  end
  redis.call('HSET', signals, name, string.format('%.0f', now) .. ':' .. data)
  local ttl = redis.call('TTL', order)
  redis.call('EXPIRE', signals, ttl)
  setMark(version, publishedAt, tonumber(isWaiting))
  redis.call('EXPIRE', marks, ttl)
end

local left = publishedAt + interval - now
if left > 0 then
  if data ~= '' and isWaiting == '1' then return { 'kept' } end
  setMark(version, publishedAt, 1)
  return { 'waits', left }
end

local latest = string.match(redis.call('HGET', signals, name), '^%d+:(.*)$')
setMark(version + 1, now, 0)
append({
  meta = KEYS[5], log = KEYS[6], feed = KEYS[7], timestampKey = KEYS[8] or '',
  epoch = ARGV[6], size = ARGV[7], logTtl = ARGV[8], metaTtl = ARGV[9], head = ARGV[10],
}, ARGV[11] .. latest .. '}')
return { 'published', string.format('%.0f', version + 1), latest, record }
