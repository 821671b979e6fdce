-- Takes from a fixed window, all or nothing. A refused take neither counts nor extends the window.
--
-- The state is one string, '<used>:<ends at>' in microseconds of Redis' clock, set together with its TTL. The window
-- opens with the first allowed take. If the clock went back, its end is limited to one window from now.
--
-- KEYS  1 window
-- ARGV  1 limit  2 window (µs)  3 cost
-- Returns { allowed 0|1, left in the window, µs until the same is allowed (-1 never), µs until it ends, Redis' clock (µs) }
local window = KEYS[1]
local limit, length, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local used, ends, isBehind = 0, now + length, false
local counted, at = string.match(redis.call('GET', window) or '', '^(%d+):(%d+)$')
if counted then
  isBehind = tonumber(at) > ends
  if tonumber(at) > now then used, ends = tonumber(counted), math.min(tonumber(at), ends) end
end

local left = ends - now
local allowed = used + cost <= limit
if allowed then used = used + cost end
if allowed or isBehind then
  redis.call('SET', window, string.format('%.0f:%.0f', used, ends), 'PX', string.format('%.0f', left / 1000 + 1000))
end

local wait = 0
if not allowed then wait = cost > limit and -1 or left end
return { allowed and 1 or 0, limit - used, wait, used == 0 and 0 or left, now }
