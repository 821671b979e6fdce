-- Adds a command to the stream, once per name. Each node adds commands in the order in which it received them, so commands
-- that all nodes receive in the same order are added in that order.
--
-- KEYS  1 commands  2 name of the command
-- ARGV  1 command as JSON  2 TTL of the name (ms)
-- Returns 1 if the command was added, 0 if it had been before.
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'command', ARGV[1])
return 1
