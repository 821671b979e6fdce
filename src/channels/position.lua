-- For the scripts that read the position of a channel, or begin an epoch where there is none. redis/run.lua and
-- generation.lua, which tells the fields of the hash `meta`, stand before this file.

-- Returns the position before anything is written: { epoch, offset, timestamp }, epoch false if there is none.
local function positionBefore(meta, freshEpoch)
  local state = redis.call('HMGET', meta, 'epoch', 'offset', 'timestamp', 'run')
  if isHandedOn or not state[1] then checkRun() end
  if state[1] and state[4] ~= knownRun then state[1] = enterRun(meta, state[1], state[2], freshEpoch) end
  return state
end

-- Starts an epoch; `ttl` in seconds.
local function beginEpoch(meta, epoch, timestamp, ttl)
  redis.call('HDEL', meta, 'past', 'confirmed')
  redis.call('HSET', meta, 'epoch', epoch, 'offset', '0', 'timestamp', timestamp, 'run', knownRun)
  redis.call('EXPIRE', meta, ttl)
end

-- Returns epoch and offset (texts), starting an epoch if there is none. Call it before anything is written.
local function openPosition(meta, freshEpoch, ttl)
  local position = positionBefore(meta, freshEpoch)
  if position[1] then return position[1], position[2] or '0' end
  beginEpoch(meta, freshEpoch, '0', ttl)
  return freshEpoch, '0'
end
