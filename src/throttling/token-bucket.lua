-- Takes from a token bucket, all or nothing. A refused take takes nothing. A negative cost is refunded.
--
-- The state is one string, '<level>:<at>', in millionths of tokens and microseconds of Redis' clock: whole numbers, and
-- one SET that carries its TTL, so no crash leaves a key without one. A missing key is a full bucket.
-- If the clock went back (after a failover) nothing is refilled, and counting continues from there.
--
-- KEYS  1 bucket
-- ARGV  1 capacity (millionths)  2 refill (millionths a microsecond)  3 cost (millionths)
-- Returns { allowed 0|1, whole tokens left, µs until the same is allowed (-1 never), µs until full, Redis' clock (µs) }
local bucket = KEYS[1]
local capacity, refill, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local level, at = capacity, now
local last, lastAt = string.match(redis.call('GET', bucket) or '', '^(%d+):(%d+)$')
if last then
  at = tonumber(lastAt)
  level = math.min(capacity, last + math.floor(math.max(0, now - at) * refill))
end

local allowed = level >= cost
if allowed then level = math.min(capacity, level - cost) end
local untilFull = math.ceil((capacity - level) / refill)
if allowed or at > now then
  local ttl = string.format('%.0f', untilFull / 1000 + 1000)
  redis.call('SET', bucket, string.format('%.0f:%.0f', level, now), 'PX', ttl)
end

local wait = 0
if not allowed then wait = cost > capacity and -1 or math.ceil((cost - level) / refill) end
return { allowed and 1 or 0, math.floor(level / 1000000), wait, untilFull, now }
