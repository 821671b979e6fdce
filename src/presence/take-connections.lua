-- A node takes, keeps or releases connections of one session, within the limit of its user on all nodes.
--
-- KEYS  1 connections of the user (hash '<node>|<session>' -> count)
-- ARGV  1 node  2 session  3 connections the node holds  4 requested, at least as many  5 max of the user  6 TTL (s)
--       7 the node's former name, under which the same connections may be stored, or ''
-- Returns the node's connections from now on, at least those it holds; if that is less than requested, { granted, node, node,
-- ... } with the other nodes that hold connections. Counts are absolute, so a repeat is harmless.
local key, node, own, former = KEYS[1], ARGV[1], ARGV[1] .. '|' .. ARGV[2], ARGV[7] .. '|' .. ARGV[2]
local held, wanted, max, ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]

local taken, holders = 0, {}
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  if fields[i] == former then
    redis.call('HDEL', key, fields[i])
  elseif fields[i] ~= own then
    local holder = string.match(fields[i], '^(.*)|')
    taken = taken + tonumber(fields[i + 1])
    if holder ~= node then holders[holder] = true end
  end
end

local granted = math.max(held, math.min(wanted, max - taken))
if granted > 0 then redis.call('HSET', key, own, granted) else redis.call('HDEL', key, own) end
redis.call('EXPIRE', key, ttl)

if granted == wanted then return granted end
local reply = { granted }
for holder in pairs(holders) do reply[#reply + 1] = holder end
return reply
