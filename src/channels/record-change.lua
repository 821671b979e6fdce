-- Begins the record of a connection, or changes it. Changes are for its owner only: a connection that was taken over
-- elsewhere writes no more.
--
-- KEYS  1 record (hash)
-- ARGV  1 owner  2 'begin', 'rewrite', 'keep', 'drop', 'release' or 'end'  3 life (s)
--       4.. field, value, field, value, ... to begin with; field and value to keep; field to drop
--       to release: 4 the trail of what its owner delivered, omitted if not needed (channels/delivery-trail.ts)
--       to rewrite: 4 how often the record had been taken when its owner took it  5.. all fields and values
-- Returns 1, or 0 where the record is another's or gone. What is gone is rewritten all the same, and so is what belongs
-- to an earlier owner: the store may have lost what came after that.
local record = KEYS[1]
local owner, act, ttl = ARGV[1], ARGV[2], ARGV[3]

if act == 'begin' then redis.call('HSET', record, 'owner', owner, unpack(ARGV, 4))
elseif act == 'rewrite' then
  local before = redis.call('HMGET', record, 'owner', 'takes')
  local takes = tonumber(before[2]) or 0
  if before[1] and before[1] ~= owner and takes >= tonumber(ARGV[4]) then return 0 end
  redis.call('DEL', record)
  redis.call('HSET', record, 'owner', owner, 'takes', ARGV[4], unpack(ARGV, 5))
elseif redis.call('HGET', record, 'owner') ~= owner then
  -- Taken over before its owner could write its trail.
  if act == 'release' and ARGV[4] and redis.call('HGET', record, 'before') == owner then
    redis.call('HSET', record, 'trail', ARGV[4])
  end
  return 0
elseif act == 'keep' then redis.call('HSET', record, ARGV[4], ARGV[5])
elseif act == 'drop' then redis.call('HDEL', record, ARGV[4])
elseif act == 'release' then
  redis.call('HSET', record, 'owner', '')
  if ARGV[4] then redis.call('HSET', record, 'trail', ARGV[4]) end
elseif act == 'end' then redis.call('DEL', record) end
redis.call('EXPIRE', record, ttl)
return 1
