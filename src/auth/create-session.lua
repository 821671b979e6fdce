-- Creates a session, adds it to its user's index, and evicts the user's oldest sessions if there are too many.
--
-- KEYS  1 session  2 user's index
-- ARGV  1 session id  2 life (ms)  3 idle time after which it ends early (ms)  4 max sessions of a user
--       5 prefix of a session's key before its id (same slot)  6 sliding life (ms), '' for none
--       7 'new', or 'adopted': an existing session is kept, and one that was ended is not created again; or 'renewed': an
--         existing one has these fields from now on, and ends at the later of both ends
--       8... further fields and values of the session
-- Returns { createdAt, expiresAt, id, id, ... }: epoch milliseconds, the end of this login, then the evicted sessions; an empty list if an adopted
-- session was not created.
local session, index = KEYS[1], KEYS[2]
local id, life, idle, max, prefix = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local sliding, mode = tonumber(ARGV[6]), ARGV[7]
if mode == 'adopted' and redis.call('EXISTS', session, session .. ':ended') > 0 then return {} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
-- A whole second, because tokens count in seconds and the last one should end with the session, not before.
local function wholeSecond(moment) return math.ceil(moment / 1000) * 1000 end

local endsAt = wholeSecond(now + life)
local expiresAt = sliding and math.min(wholeSecond(now + sliding), endsAt) or endsAt
local createdAt, ownEnd = now, expiresAt
if mode == 'renewed' then
  local known = redis.call('HMGET', session, 'createdAt', 'expiresAt')
  createdAt = tonumber(known[1]) or now
  expiresAt = math.max(expiresAt, tonumber(known[2]) or 0)
  redis.call('HDEL', session, 'roles', 'channels', 'info')
end

redis.call('HSET', session, 'createdAt', text(createdAt), 'expiresAt', text(expiresAt), unpack(ARGV, 8))
redis.call('HSET', session, 'life', text(life))
if sliding then redis.call('HSET', session, 'sliding', text(sliding), 'endsAt', text(endsAt)) end
redis.call('PEXPIREAT', session, text(math.min(now + idle, expiresAt)))
-- In microseconds, so that sessions of the same millisecond keep their order.
redis.call('ZADD', index, text(time[1] * 1000000 + time[2]), id)
redis.call('PEXPIREAT', index, text(math.max(redis.call('PEXPIRETIME', index), endsAt)))

local answer = { createdAt, ownEnd }
local excess = redis.call('ZCARD', index) - max
if excess <= 0 then return answer end

local ids = redis.call('ZRANGE', index, 0, -1)
for _, other in ipairs(ids) do
  if redis.call('EXISTS', prefix .. other) == 0 then
    redis.call('ZREM', index, other)
    excess = excess - 1
  end
end
for _, other in ipairs(ids) do
  if excess <= 0 then break end
  if other ~= id and redis.call('DEL', prefix .. other) == 1 then
    redis.call('ZREM', index, other)
    answer[#answer + 1] = other
    excess = excess - 1
  end
end
return answer
