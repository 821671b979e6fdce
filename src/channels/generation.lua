-- Shared by every script that reads or moves the position of a channel: sees that the position belongs to the present
-- run of Redis. redis/run.lua stands before this file. Redis makes every function anew at each call of a script, so those
-- that publishing does not need are in position.lua.
--
-- Fields of the hash `meta`:
--   epoch, offset, timestamp   the position, and the timestamp of the publication there
--   run                    the run of Redis in which the position was last known to be right
--   confirmed              a run in which a node that followed the channel found everything it had been sent
--   past                   '<epoch>:<offset> ...', the earlier generations of this log and where each ended
--   life                   see append.lua
--
-- What a Cluster moves from one living primary to another is whole. But a run may begin with less than was acknowledged.
-- Whoever follows the channel confirms the position, or ends the epoch (open.lua); where nobody can say, the log goes on
-- in a new generation: under another epoch, and with the offset at which the old one ended, so that no publication that
-- was lost shares its position with a later one.

-- The epoch to go on in; to be called where `run` is not the run the caller knows, and before anything is written.
-- Fails where the run is not settled; the caller calls again when it is.
local function enterRun(meta, epoch, offset, freshEpoch)
  checkRun()
  local state = redis.call('HMGET', meta, 'confirmed', 'past', 'run')
  local isMoved = state[3] and state[3] == string.match(runMode, ' cluster (%S+)$')
  if not isMoved and string.sub(runMode, 1, 7) ~= 'settled' then error({ err = 'UNSETTLED ' .. knownRun }) end
  if isMoved or state[1] == knownRun then
    redis.call('HSET', meta, 'run', knownRun)
    return epoch
  end
  -- The last eight are kept.
  local past = (state[2] or '') .. epoch .. ':' .. (offset or '0') .. ' '
  past = string.match(past, '(%S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ )$') or past
  redis.call('HSET', meta, 'epoch', freshEpoch, 'run', knownRun, 'past', past)
  return freshEpoch
end
