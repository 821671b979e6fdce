-- Begins the record of a connection, or changes it. Changes are for its owner only: a connection that was taken over
-- elsewhere writes no more. redis/run.lua stands before it.
--
-- Fields of the record: owner, '' once that has gone, and then `left`, who that was; takes, how often another connection
-- took it; before, the owner from whom it was taken and who has not left yet; run, the run of Redis in which its owner last
-- wrote all of it (another may lack later changes); the rest as in recovery-record-store.ts.
--
-- KEYS  1 record (hash)
-- ARGV  1 owner  2 'begin', 'rewrite', 'keep', 'drop', 'state', 'release' or 'end'  3 life (s)
--       4.. field, value, field, value, ... to begin with; field and value to keep; field to drop; the socket's state, ''
--       if it has none
--       to release: 4 `asOf` of the record  5 the trail of what its owner delivered, '' if not needed
--       (channels/delivery-trail.ts)  6 the socket's state as above, omitted to leave what is recorded
--       to rewrite: 4 how often the record had been taken when its owner took it  5.. all fields and values
-- Returns 1, or 0 where the record is another's or gone. What is gone is rewritten all the same, and so is what belongs
-- to an earlier owner: the store may have lost what came after that.
local record = KEYS[1]
local owner, act, ttl = ARGV[1], ARGV[2], ARGV[3]

-- With a state, nobody waits for that of an earlier owner any more.
local function leave(trail, state)
  if trail ~= '' then redis.call('HSET', record, 'trail', trail) end
  if state == '' then redis.call('HDEL', record, 'before', 'socketState')
  elseif state then
    redis.call('HSET', record, 'socketState', state)
    redis.call('HDEL', record, 'before')
  end
end

-- Where no run is known every act is refused alike: a change must not overtake the beginning of its record.
local isWhole = act == 'begin' or act == 'rewrite'
if knownRun == '' or (isHandedOn and isWhole) then checkRun() end
if act == 'begin' then redis.call('HSET', record, 'owner', owner, 'run', knownRun, unpack(ARGV, 4))
elseif act == 'rewrite' then
  local before = redis.call('HMGET', record, 'owner', 'left', 'takes')
  local last, takes = before[1], tonumber(before[3]) or 0
  if last == '' then last = before[2] end
  if last and last ~= owner and takes >= tonumber(ARGV[4]) then return 0 end
  redis.call('DEL', record)
  redis.call('HSET', record, 'owner', owner, 'run', knownRun, 'takes', ARGV[4], unpack(ARGV, 5))
elseif redis.call('HGET', record, 'owner') ~= owner then
  -- Taken over before its owner could leave.
  if act == 'release' and redis.call('HGET', record, 'before') == owner then leave(ARGV[5], ARGV[6]) end
  return 0
elseif act == 'keep' then redis.call('HSET', record, ARGV[4], ARGV[5])
elseif act == 'drop' then redis.call('HDEL', record, ARGV[4])
elseif act == 'state' then leave('', ARGV[4])
elseif act == 'release' then
  redis.call('HSET', record, 'owner', '', 'left', owner, 'asOf', ARGV[4])
  leave(ARGV[5], ARGV[6])
elseif act == 'end' then redis.call('DEL', record) end
redis.call('EXPIRE', record, ttl)
return 1
