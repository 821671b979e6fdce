-- Included by the scripts that maintain an index of orders: all of them, or those of one user.
--
-- indexOrder(keys, member, number, status, ttl) adds an order or updates its status; a status of '' removes it. A number
-- that is lower than that of the last change is ignored. `keys` are members (sorted set, in the order of the members),
-- expiry (sorted set), statuses (hash of '<number>:<status>'); the member is '<creation>:<order id>'.
local function indexOrder(keys, member, number, status, ttl)
  local members, expiry, statuses = keys[1], keys[2], keys[3]
  local now = tonumber(redis.call('TIME')[1])
  local function remove(list)
    for _, one in ipairs(list) do
      redis.call('ZREM', members, one)
      redis.call('ZREM', expiry, one)
      redis.call('HDEL', statuses, one)
    end
  end

  local last = tonumber(string.match(redis.call('HGET', statuses, member) or '-1:', '^(.-):'))
  if tonumber(number) < last then return end
  if status == '' then
    remove({ member })
  else
    redis.call('ZADD', members, 0, member)
    redis.call('ZADD', expiry, now + ttl, member)
    redis.call('HSET', statuses, member, number .. ':' .. status)
  end
  remove(redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, 100))
  for _, key in ipairs(keys) do
    if redis.call('TTL', key) < tonumber(ttl) then redis.call('EXPIRE', key, ttl) end
  end
end
