-- Adds an order to the index of all orders, updates its status there, or removes it (index.lua comes before it).
--
-- KEYS  1 members  2 expiry  3 statuses
-- ARGV  1 member  2 number of the change  3 status, '' to remove the order  4 TTL (s)
indexOrder(KEYS, ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
return 1
