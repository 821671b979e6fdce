-- Reads a channel's members as of one revision.
--
-- KEYS  1 nodes of the channel (hash node -> key of its members, '' -> revision, 'since' -> the first one);
--       those keys share its tag
-- Returns { revision, since, node, { user, count, ... }, node, { ... }, ... }
local reply = { '0', '0' }
local nodes = redis.call('HGETALL', KEYS[1])
for i = 1, #nodes, 2 do
  if nodes[i] == '' then
    reply[1] = nodes[i + 1]
  elseif nodes[i] == 'since' then
    reply[2] = nodes[i + 1]
  else
    reply[#reply + 1] = nodes[i]
    reply[#reply + 1] = redis.call('HGETALL', nodes[i + 1])
  end
end
return reply
