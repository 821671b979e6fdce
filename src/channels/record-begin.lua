-- Begins the record of a connection.
--
-- KEYS  1 record (hash)
-- ARGV  1 life (s)  2.. field, value, field, value, ...
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
