-- Hands the record of a connection to a new owner, if nobody has taken it since the new owner read it, and nothing of it
-- can be missing: if its owner wrote it in the present run of Redis. redis/run.lua stands before it.
--
-- KEYS  1 record (hash)
-- ARGV  1 new owner  2 life (s)  3 how often the record had been taken when its new owner read it
-- Returns { the old owner, '' if it had released the record; the owner that had, ''; how often the record has been taken;
-- { field, value, ... }, none if it was not taken; the trail of what the old owner delivered, '' if it left none }; nil if
-- there is no record.
local record = KEYS[1]
local state = redis.call('HMGET', record, 'owner', 'left', 'takes', 'run')
local owner = state[1]
if not owner then return nil end
if isHandedOn or state[4] ~= knownRun then checkRun() end
-- What a Cluster moves from one living primary to another is whole.
local isMoved = state[4] and state[4] == string.match(runMode, ' cluster (%S+)$')
local known = tonumber(state[3]) or 0
local isTaken = known ~= tonumber(ARGV[3])
if isTaken or (state[4] ~= knownRun and not isMoved) then return { owner, state[2] or '', known, {}, '' } end

if isMoved then redis.call('HSET', record, 'run', knownRun) end
-- One that is still there although the record was not released is of an owner before.
local trail = owner == '' and redis.call('HGET', record, 'trail') or ''
redis.call('HDEL', record, 'trail')
redis.call('HSET', record, 'owner', ARGV[1])
-- It may still have to write its trail.
if owner ~= '' then redis.call('HSET', record, 'before', owner) end
redis.call('EXPIRE', record, ARGV[2])
local takes = redis.call('HINCRBY', record, 'takes', 1)
return { owner, state[2] or '', takes, redis.call('HGETALL', record), trail }
