-- Shared by every script that publishes: gives one publication its place in a channel's log and sends it to the nodes.
-- The caller's KEYS must all carry the channel's hash tag, save the stamp key, which exists only where all keys share
-- one Redis (never on Cluster).
--
-- append(channel) with channel = {
--   meta, log, feed   keys: hash { epoch, offset, stamp }, stream, sharded pub/sub channel
--   stampKey          key of the store-wide stamp, or '' on Cluster
--   epoch             epoch to begin with where the channel has none
--   size              publications the log keeps, 0 for no log
--   logTtl, metaTtl   seconds
--   head              '{"channel":<json>' of the publication
-- }, tail = '"event":<json>,"data":<json>'
--
-- Returns epoch, offset, stamp (a decimal string). The stamp orders publications over all channels: microseconds of
-- Redis' clock, moved on by one where the clock has not moved. A stream id is '<stamp>-<offset>'; the message to the
-- nodes is '<epoch>:<offset>:<stamp>:<stamp of the one before>:' and the text of the Engine.IO packet every subscriber
-- is sent.
local function append(channel, tail)
  local meta = redis.call('HMGET', channel.meta, 'epoch', 'offset', 'stamp')
  local epoch = meta[1] or channel.epoch
  local offset = string.format('%.0f', (meta[2] or 0) + 1)
  local previous = meta[3] or '0'
  local time = redis.call('TIME')
  local second, micros = time[1], time[2]
  if #micros < 6 then micros = string.rep('0', 6 - #micros) .. micros end
  local stamp = second .. micros
  local last = previous
  if channel.stampKey ~= '' then last = redis.call('SET', channel.stampKey, stamp, 'GET') or '0' end
  if tonumber(last) >= tonumber(stamp) then
    stamp = string.format('%.0f', last + 1)
    if channel.stampKey ~= '' then redis.call('SET', channel.stampKey, stamp) end
  end
  local publication = channel.head .. ',"epoch":"' .. epoch .. '","offset":' .. offset .. ',' .. tail
    .. ',"publishedAt":' .. second .. string.sub(micros, 1, 3) .. '}'

  -- For what lives long once a second is enough: it lives that second longer.
  local isFirst = offset == '1' or string.sub(previous, 1, -7) ~= second
  local slack = tonumber(channel.logTtl) < 60 and 0 or 1
  redis.call('HSET', channel.meta, 'epoch', epoch, 'offset', offset, 'stamp', stamp)
  if isFirst then redis.call('EXPIRE', channel.meta, channel.metaTtl + 1) end
  if tonumber(channel.size) > 0 then
    redis.call('XADD', channel.log, 'MAXLEN', '~', channel.size, stamp .. '-' .. offset, 'p', publication)
    if isFirst or slack == 0 then redis.call('EXPIRE', channel.log, channel.logTtl + slack) end
  end
  redis.call('SPUBLISH', channel.feed, epoch .. ':' .. offset .. ':' .. stamp .. ':' .. previous
    .. ':42["publication",' .. publication .. ',"' .. stamp .. '"]')
  return epoch, offset, stamp
end
