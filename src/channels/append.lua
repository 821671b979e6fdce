-- Shared by every script that publishes: gives one publication its place in a channel's log and sends it to the nodes.
-- redis/run.lua and generation.lua stand before it; a script that writes before it appends has position.lua there too and
-- calls `positionBefore` first.
-- The caller's KEYS must all carry the channel's hash tag, save the timestamp key, which exists only where all keys share
-- one Redis (never on Cluster).
--
-- append(channel) with channel = {
--   meta, log, feed   keys: hash (generation.lua; life: the log's), stream, sharded pub/sub
--   timestampKey          key of the store-wide timestamp, or '' on Cluster
--   epoch             epoch to begin with where the channel has none
--   size              publications the log keeps, 0 for no log
--   logTtl, metaTtl   seconds
--   head              '{"channel":<json>' of the publication
-- }, tail = '"event":<json>,"data":<json>'
--
-- Returns epoch, offset, timestamp (a decimal string). The timestamp orders publications over all channels: microseconds of
-- Redis' clock, moved on by one where the clock has not moved. A stream id is '<timestamp>-<offset>'; the message to the
-- nodes is '<epoch>:<offset>:<timestamp>:<timestamp of the one before>:' and the text of the Engine.IO packet every subscriber
-- is sent.
local function append(channel, tail)
  local call = redis.call
  local meta = call('HMGET', channel.meta, 'epoch', 'offset', 'timestamp', 'life', 'run')
  local epoch = meta[1] or channel.epoch
  if not meta[1] then checkRun()
  elseif meta[5] ~= knownRun then epoch = enterRun(channel.meta, epoch, meta[2], channel.epoch) end
  local offset = string.format('%.0f', (meta[2] or 0) + 1)
  local previous = meta[3] or '0'
  local time = call('TIME')
  local second, micros = time[1], time[2]
  local before = string.sub(previous, 1, -7)
  -- Once a second is enough: no failover is quicker.
  if isHandedOn and before ~= second then checkRun() end
  if #micros < 6 then micros = string.rep('0', 6 - #micros) .. micros end
  local timestamp = second .. micros
  local last = previous
  if channel.timestampKey ~= '' then last = call('SET', channel.timestampKey, timestamp, 'GET') or '0' end
  if tonumber(last) >= tonumber(timestamp) then
    timestamp = string.format('%.0f', last + 1)
    if channel.timestampKey ~= '' then call('SET', channel.timestampKey, timestamp) end
  end
  local publication = channel.head .. ',"epoch":"' .. epoch .. '","offset":' .. offset .. ',' .. tail
    .. ',"publishedAt":' .. second .. string.sub(micros, 1, 3) .. '}'

  call('HSET', channel.meta, 'offset', offset, 'timestamp', timestamp)
  local hasLog = tonumber(channel.size) > 0
  if hasLog then
    call('XADD', channel.log, 'MAXLEN', '~', channel.size, timestamp .. '-' .. offset, 'p', publication)
  end

  -- A long life is prolonged when a sixteenth of it has passed, and is that much longer.
  local life = hasLog and channel.logTtl or '0'
  local isNew = offset == '1' or meta[4] ~= life
  local isShort = tonumber(channel.logTtl) < 60
  if hasLog and isShort then call('EXPIRE', channel.log, channel.logTtl) end
  if isNew or before ~= second then
    local function prolong(key, ttl)
      local part = ttl / 16
      local isDue = isNew or math.floor((tonumber(before) or 0) / part) ~= math.floor(second / part)
      if isDue then call('EXPIRE', key, math.ceil(ttl + part)) end
    end
    prolong(channel.meta, channel.metaTtl)
    if hasLog and not isShort then prolong(channel.log, channel.logTtl) end
    if isNew then call('HSET', channel.meta, 'epoch', epoch, 'life', life, 'run', knownRun) end
  end
  call('SPUBLISH', channel.feed, epoch .. ':' .. offset .. ':' .. timestamp .. ':' .. previous
    .. ':42["publication",' .. publication .. ',"' .. timestamp .. '"]')
  return epoch, offset, timestamp
end
