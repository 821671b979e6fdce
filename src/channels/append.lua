-- Shared by every script that publishes: assigns one publication its offset in a channel's log and sends it to the nodes.
-- redis/run.lua and generation.lua stand before it. A script that writes before it appends also includes position.lua
-- and calls `positionBefore` first.
-- The caller's KEYS must all carry the channel's hash tag, except the timestamp key, which exists only if all keys share
-- one Redis (never on Cluster).
--
-- append(channel) with channel = {
--   meta, log, feed   keys: hash (generation.lua), stream, sharded pub/sub
--   timestampKey      key of the global timestamp, or '' on Cluster
--   epoch             epoch to start if the channel has none
--   size              publications the log keeps, 0 for no log
--   logTtl, metaTtl   seconds
--   head              '{"channel":<json>' of the publication; a W3C traceparent for the nodes and a space may stand before
--   except            JSON array of connection ids and 'user:<id>' that must not receive it; nil or '' for none
-- }, tail = '"event":<json>,"data":<json>' and maybe ',"from":<json>'
--
-- Returns epoch, offset, timestamp (a decimal string). The timestamp orders publications over all channels: microseconds
-- of Redis' clock, incremented if the clock has not advanced. A stream id is '<timestamp>-<offset>'. The feed message is
-- '<epoch>:<offset>:<timestamp>:<previous timestamp>:', with a traceparent 't<bytes>:<trace>', with `except`
-- 'x<bytes>:<except>', and the text of the Engine.IO packet for every subscriber.
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
  -- Once a second suffices: no failover is faster.
  if isHandedOn and before ~= second then checkRun() end
  if #micros < 6 then micros = string.rep('0', 6 - #micros) .. micros end
  local timestamp = second .. micros
  local last = previous
  if channel.timestampKey ~= '' then last = call('SET', channel.timestampKey, timestamp, 'GET') or '0' end
  if tonumber(last) >= tonumber(timestamp) then
    timestamp = string.format('%.0f', last + 1)
    if channel.timestampKey ~= '' then call('SET', channel.timestampKey, timestamp) end
  end
  local trace, head = '', channel.head
  if string.byte(head) ~= 123 then
    trace, head = string.match(head, '^(%S+) (.*)$')
    trace = 't' .. #trace .. ':' .. trace
  end
  local publication = head .. ',"epoch":"' .. epoch .. '","offset":' .. offset .. ',' .. tail
    .. ',"publishedAt":' .. second .. string.sub(micros, 1, 3) .. '}'

  call('HSET', channel.meta, 'offset', offset, 'timestamp', timestamp)
  local hasLog = tonumber(channel.size) > 0
  local hasExcept = channel.except and channel.except ~= ''
  if hasLog then
    local id = timestamp .. '-' .. offset
    if hasExcept then call('XADD', channel.log, 'MAXLEN', '~', channel.size, id, 'p', publication, 'x', channel.except)
    else call('XADD', channel.log, 'MAXLEN', '~', channel.size, id, 'p', publication) end
  end

  -- A long TTL is extended only when a sixteenth of it has passed, and is longer by that much.
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
  local except = hasExcept and 'x' .. #channel.except .. ':' .. channel.except or ''
  call('SPUBLISH', channel.feed, epoch .. ':' .. offset .. ':' .. timestamp .. ':' .. previous .. ':' .. trace .. except
    .. '42["publication",' .. publication .. ',"' .. timestamp .. '"]')
  return epoch, offset, timestamp
end
