-- Enqueues a message once, for each endpoint.
--
-- KEYS  1 accepted (string, present if this message, or this replay of it, was enqueued before)  2 dead letters  3.. see enqueue.lua
-- ARGV  1 TTL of 'accepted' (s)  2 entity  3 id  4 type  5 body  6 max per entity
--       7 max per endpoint  8 TTL (s)  9 duration of a claim (ms)  10 max dead letters  11.. endpoints
-- Returns { outcome of each endpoint }, see enqueue.lua; nothing if it was enqueued before.
local remembered = ARGV[1]
local message = { entity = ARGV[2], id = ARGV[3], type = ARGV[4], body = ARGV[5] }
local limits = {
  entity = tonumber(ARGV[6]), endpoint = tonumber(ARGV[7]), ttl = ARGV[8], leaseMs = tonumber(ARGV[9]), deadLetters = ARGV[10],
}

if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', remembered) then return {} end
return enqueue(message, limits, 2)
