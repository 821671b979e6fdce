-- Included by every script that enqueues a message.
--
-- enqueue(message, limits, from) with message = { entity, id, type, body },
-- limits = { entity, endpoint (max queued messages of each), ttl (s), leaseMs, deadLetters (max) }
-- KEYS[from]      dead letters (stream)
-- KEYS[from + 1]  and the next two, for each endpoint: queue (list), due set of queues (sorted set), queued (counter)
-- ARGV            ends with the ids of the endpoints, in the same order
--
-- Returns { outcome of each endpoint }: 'first' (the queue was empty: the caller has claimed it for leaseMs), 'behind',
-- or 'full' (became a dead letter, because the queue has reached its limit). A message is '<id> <type> <body>';
-- the type may be followed by ';' and a traceparent.
local function enqueue(message, limits, from)
  local outcomes = {}
  local endpoints = (#KEYS - from) / 3
  local text = message.id .. ' ' .. message.type .. ' ' .. message.body
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for i = 1, endpoints do
    local queue, queues, queued = KEYS[from + 3 * i - 2], KEYS[from + 3 * i - 1], KEYS[from + 3 * i]
    local endpoint = ARGV[#ARGV - endpoints + i]
    local length = redis.call('LLEN', queue)
    if length >= limits.entity or tonumber(redis.call('GET', queued) or 0) >= limits.endpoint then
      redis.call('XADD', KEYS[from], 'MAXLEN', '~', limits.deadLetters, '*', 'endpoint', endpoint, 'entity', message.entity,
        'message', text, 'reason', 'too many messages are queued', 'tries', '0')
      outcomes[i] = 'full'
    else
      redis.call('RPUSH', queue, text)
      redis.call('INCR', queued)
      if length == 0 then redis.call('ZADD', queues, string.format('%.0f', now + limits.leaseMs), message.entity) end
      for _, key in ipairs({ queue, queues, queued }) do redis.call('EXPIRE', key, limits.ttl) end
      outcomes[i] = length == 0 and 'first' or 'behind'
    end
  end
  return outcomes
end
