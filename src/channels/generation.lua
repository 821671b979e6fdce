-- Shared by every script that reads or moves a channel's position: ensures that the position belongs to the current run
-- of Redis. redis/run.lua stands before it. Redis creates every function anew at each call of a script, so functions that
-- publishing does not need are in position.lua.
--
-- Fields of the hash `meta`:
--   epoch, offset, timestamp   the position, and the timestamp of the publication there
--   run                        the run of Redis in which the position was last known to be right
--   confirmed                  a run in which a subscribed node found everything it had received
--   past                       '<epoch>:<offset> ...', earlier generations of this log and where each ended
--   life                       TTL of the log when it was last written, see append.lua
--
-- A slot that a Cluster moves from one living primary to another is complete. But a run may start with less than was
-- acknowledged. A node that is subscribed to the channel confirms the position, or ends the epoch (open.lua). If no node
-- does, the log continues in a new generation: under another epoch, with the offset at which the old one ended, so that a
-- lost publication never shares its position with a later one.

-- Returns the epoch to continue in. Call it if `run` is not the current run, before anything is written. Fails while the
-- run is not settled; the caller retries.
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
