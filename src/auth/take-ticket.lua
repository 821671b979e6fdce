-- Uses a ticket. The first use attaches a resume key to it; later uses must present that key.
--
-- KEYS  1 ticket
-- ARGV  1 resume key presented by the client, '' for none  2 new resume key  3 milliseconds the ticket is kept
-- Returns { session, resume key }, or nil if there is no such ticket or it was used by somebody else.
local ticket = KEYS[1]
local presented, fresh, keptMs = ARGV[1], ARGV[2], ARGV[3]

local state = redis.call('HMGET', ticket, 'session', 'resume')
local session, resume = state[1], state[2]
if not session or (resume and resume ~= presented) then return nil end

if not resume then
  resume = fresh
  redis.call('HSET', ticket, 'resume', resume)
end
redis.call('PEXPIRE', ticket, keptMs)
return { session, resume }
