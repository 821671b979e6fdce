-- Shared by every script that makes a message: puts it behind what waits already, for each endpoint that wants it.
--
-- enqueue(message, limits, from) with message = { entity, id, type, body },
-- limits = { lane, endpoint (most messages that wait), life (s), leaseMs, letters (most dead letters) }
-- KEYS[from]      dead letters (stream)
-- KEYS[from + 1]  and each two more: lane (list), lanes (sorted set), waiting (string) of one endpoint
-- ARGV            names of the endpoints, in the same order, are its last
--
-- Returns { outcome of each endpoint }: 'first' (nothing waits before it: the caller has the lane for leaseMs), 'behind', or 'full'
-- (kept as a dead letter at once: so much waits already that Redis would fill with it). A message is
-- '<id> <type> <body>'.
local function enqueue(message, limits, from)
  local outcomes = {}
  local endpoints = (#KEYS - from) / 3
  local text = message.id .. ' ' .. message.type .. ' ' .. message.body
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for i = 1, endpoints do
    local lane, lanes, waiting = KEYS[from + 3 * i - 2], KEYS[from + 3 * i - 1], KEYS[from + 3 * i]
    local endpoint = ARGV[#ARGV - endpoints + i]
    local length = redis.call('LLEN', lane)
    if length >= limits.lane or tonumber(redis.call('GET', waiting) or 0) >= limits.endpoint then
      redis.call('XADD', KEYS[from], 'MAXLEN', '~', limits.letters, '*', 'endpoint', endpoint, 'entity', message.entity,
        'message', text, 'reason', 'too many messages are queued', 'tries', '0', 'at', string.format('%.0f', now))
      outcomes[i] = 'full'
    else
      redis.call('RPUSH', lane, text)
      redis.call('INCR', waiting)
      if length == 0 then redis.call('ZADD', lanes, string.format('%.0f', now + limits.leaseMs), message.entity) end
      for _, key in ipairs({ lane, lanes, waiting }) do redis.call('EXPIRE', key, limits.life) end
      outcomes[i] = length == 0 and 'first' or 'behind'
    end
  end
  return outcomes
end
