-- A node takes, keeps or gives back connections ("seats") of one session, within what its user may have on all nodes.
--
-- KEYS  1 connections of the user (hash '<node>|<session>' -> count)
-- ARGV  1 node  2 session  3 seats the node holds  4 seats it wants, not less  5 max for the user  6 TTL (s)
--       7 the node's former name, under which the same seats may stand, '' for none
--       8.. names of dead nodes, whose seats are free
-- Returns { granted, node, node, ... }: seats the node has from now on, never less than it holds; where that is less
-- than it wants, also the other nodes that hold some. Counts are absolute, so a repeat is harmless.
local key, node, own, former = KEYS[1], ARGV[1], ARGV[1] .. '|' .. ARGV[2], ARGV[7] .. '|' .. ARGV[2]
local held, wanted, max, ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local dead = {}
for i = 8, #ARGV do dead[ARGV[i]] = true end

local taken, holders = 0, {}
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local holder = string.match(fields[i], '^(.*)|')
  if dead[holder] or fields[i] == former then
    redis.call('HDEL', key, fields[i])
  elseif fields[i] ~= own then
    taken = taken + tonumber(fields[i + 1])
    if holder ~= node then holders[holder] = true end
  end
end

local granted = math.max(held, math.min(wanted, max - taken))
if granted > 0 then redis.call('HSET', key, own, granted) else redis.call('HDEL', key, own) end
redis.call('EXPIRE', key, ttl)

local reply = { granted }
if granted < wanted then
  for holder in pairs(holders) do reply[#reply + 1] = holder end
end
return reply
