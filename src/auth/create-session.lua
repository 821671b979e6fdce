-- Begins a session, puts it into its user's index, and lets go of the user's oldest ones where there are too many.
--
-- KEYS  1 session  2 user's index
-- ARGV  1 session id  2 life (ms)  3 idle time after which it ends early (ms)  4 most sessions of a user
--       5 what stands before the session id in a session's key (same slot)
--       6... further fields and values of the session
-- Returns { createdAt, expiresAt, id, id, ... }: epoch milliseconds, then the sessions let go of.
local session, index = KEYS[1], KEYS[2]
local id, life, idle, most, head = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A whole second, because tokens count in seconds and the last of them shall end with the session, not before.
local expiresAt = math.ceil((now + life) / 1000) * 1000

local function text(number) return string.format('%.0f', number) end

redis.call('HSET', session, 'createdAt', text(now), 'expiresAt', text(expiresAt), unpack(ARGV, 6))
redis.call('PEXPIREAT', session, text(math.min(now + idle, expiresAt)))
-- By the microsecond, so that of several in one millisecond the oldest is still the oldest.
redis.call('ZADD', index, text(time[1] * 1000000 + time[2]), id)
redis.call('PEXPIREAT', index, text(math.max(redis.call('PEXPIRETIME', index), expiresAt)))

local answer = { now, expiresAt }
local excess = redis.call('ZCARD', index) - most
if excess <= 0 then return answer end

local ids = redis.call('ZRANGE', index, 0, -1)
for _, other in ipairs(ids) do
  if redis.call('EXISTS', head .. other) == 0 then
    redis.call('ZREM', index, other)
    excess = excess - 1
  end
end
for _, other in ipairs(ids) do
  if excess <= 0 then break end
  if other ~= id and redis.call('DEL', head .. other) == 1 then
    redis.call('ZREM', index, other)
    answer[#answer + 1] = other
    excess = excess - 1
  end
end
return answer
