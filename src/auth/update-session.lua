-- Changes fields of a session and its end. Each change has a higher revision, by which nodes order what they are told.
--
-- KEYS  1 session  2 user's index
-- ARGV  1 milliseconds from now at which it ends, 'life' for those it was created with, '' to keep its end
--       2 idle time after which it ends early (ms)  3 '1' if roles or channels change
--       4... fields and values; an empty value removes the field
-- Returns { field, value, ... } of the session afterwards, an empty list if it has ended.
local session, index = KEYS[1], KEYS[2]
local ttl, idle, areRights = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'

local state = redis.call('HMGET', session, 'expiresAt', 'endsAt', 'sliding', 'life', 'createdAt')
local expiresAt, endsAt, sliding = tonumber(state[1]), tonumber(state[2]), tonumber(state[3])
if not expiresAt then return {} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function wholeSecond(moment) return math.ceil(moment / 1000) * 1000 end

if ttl ~= '' then
  local life = ttl == 'life' and (tonumber(state[4]) or expiresAt - tonumber(state[5])) or tonumber(ttl)
  if not sliding then
    expiresAt = wholeSecond(now + life)
  else
    if ttl ~= 'life' then endsAt = wholeSecond(now + life) end
    expiresAt = math.min(wholeSecond(now + sliding), endsAt)
    redis.call('HSET', session, 'endsAt', text(endsAt))
  end
  redis.call('HSET', session, 'expiresAt', text(expiresAt))
end

for i = 4, #ARGV - 1, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', session, ARGV[i])
  else redis.call('HSET', session, ARGV[i], ARGV[i + 1]) end
end
redis.call('HINCRBY', session, 'revision', 1)
if areRights then redis.call('HSET', session, 'rightsAt', text(now)) end
redis.call('PEXPIREAT', session, text(math.min(now + idle, expiresAt)))
redis.call('PEXPIREAT', index, text(math.max(redis.call('PEXPIRETIME', index), endsAt or expiresAt)))
return redis.call('HGETALL', session)
