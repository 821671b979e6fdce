-- Records that a session was seen and extends its idle expiry, never beyond its own end. At most once per pause.
--
-- KEYS  1 session
-- ARGV  1 min time between two records (ms)  2 idle time after which it ends early (ms)  3 user agent, '' for none
-- Returns 1 if it was recorded, 0 if it was seen within the pause or has ended.
local session = KEYS[1]
local pause, idle, userAgent = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local state = redis.call('HMGET', session, 'expiresAt', 'lastSeenAt', 'sliding', 'endsAt')
local expiresAt, lastSeenAt, sliding, endsAt = tonumber(state[1]), tonumber(state[2]), tonumber(state[3]), tonumber(state[4])
if sliding then pause = math.min(pause, sliding / 4) end
if not expiresAt or (lastSeenAt and now - lastSeenAt < pause) then return 0 end

redis.call('HSET', session, 'lastSeenAt', string.format('%.0f', now))
if userAgent ~= '' then redis.call('HSET', session, 'userAgent', userAgent) end
if sliding then
  expiresAt = math.max(expiresAt, math.min(math.ceil((now + sliding) / 1000) * 1000, endsAt))
  redis.call('HSET', session, 'expiresAt', string.format('%.0f', expiresAt))
end
redis.call('PEXPIREAT', session, string.format('%.0f', math.min(now + idle, expiresAt)))
return 1
