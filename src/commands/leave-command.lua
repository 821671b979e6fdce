-- Leaves a command in the stream, once for each name that it has. Whoever leaves commands in their order by several nodes
-- leaves them in that order: for each node this runs in the order in which it heard them.
--
-- KEYS  1 commands  2 name of the command
-- ARGV  1 command as JSON  2 milliseconds the name is remembered
-- Returns 1 where the command was left, 0 where it had been before.
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'command', ARGV[1])
return 1
