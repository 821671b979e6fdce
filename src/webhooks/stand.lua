-- Says that an entity stands at a node, or no longer does, and takes in the message where it is now the first of all
-- nodes, or was the last. A repeat changes nothing.
--
-- KEYS  1 standings of the entity (set of nodes)  2 what stands at the node (hash entity -> data)  3 dead letters
--       4.. see enqueue.lua
-- ARGV  1 node  2 data, '' where it no longer stands there  3 entity  4 id  5 type  6 body  7 most in a lane
--       8 most of an endpoint  9 life (s)  10 ms of the claim  11 most dead letters  12.. endpoints
-- Returns { outcome of each endpoint }, see enqueue.lua; nothing where nothing turned.
local standings, standingsOf = KEYS[1], KEYS[2]
local node, data = ARGV[1], ARGV[2]
local message = { entity = ARGV[3], id = ARGV[4], type = ARGV[5], body = ARGV[6] }
local limits = {
  lane = tonumber(ARGV[7]), endpoint = tonumber(ARGV[8]), life = ARGV[9], leaseMs = tonumber(ARGV[10]),
  letters = ARGV[11],
}

local before = redis.call('SCARD', standings)
if data == '' then
  redis.call('SREM', standings, node)
  redis.call('HDEL', standingsOf, message.entity)
else
  redis.call('SADD', standings, node)
  redis.call('HSET', standingsOf, message.entity, data)
end
local after = redis.call('SCARD', standings)
if (before == 0) == (after == 0) then return {} end
return enqueue(message, limits, 3)
