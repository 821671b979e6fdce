-- Stores whether a node occupies an entity, and enqueues the message if it is now the first of all nodes or was the
-- last. A repeat changes nothing. cluster/write-count.lua and enqueue.lua stand before it.
--
-- KEYS  1 occupancy of the entity (set of nodes)  2 entities of the node (hash entity -> data)  3 dead letters
--       4.. see enqueue.lua
-- ARGV  1 node  2 data, '' if it no longer occupies the entity  3 entity  4 id  5 type  6 body  7 max per entity
--       8 max per endpoint  9 TTL (s)  10 duration of a claim (ms)  11 max dead letters  12.. endpoints
-- Returns { outcome of each endpoint }, see enqueue.lua; nothing if the occupancy did not change.
local nodes, entities = KEYS[1], KEYS[2]
local node, data = ARGV[1], ARGV[2]
local message = { entity = ARGV[3], id = ARGV[4], type = ARGV[5], body = ARGV[6] }
local limits = {
  entity = tonumber(ARGV[7]), endpoint = tonumber(ARGV[8]), ttl = ARGV[9], leaseMs = tonumber(ARGV[10]),
  deadLetters = ARGV[11],
}

local before = redis.call('SCARD', nodes)
writeCount(entities, message.entity, data)
redis.call(data == '' and 'SREM' or 'SADD', nodes, node)
local after = redis.call('SCARD', nodes)
if (before == 0) == (after == 0) then return {} end
return enqueue(message, limits, 3)
