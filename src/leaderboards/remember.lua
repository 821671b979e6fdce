-- What a call with an idempotency key was answered, kept by the script that took effect: there is no moment between the
-- two in which a node could die. It is a list: the fingerprint of the call's content, then the answer's parts, which come
-- back as text.

-- The answer given first, { 'conflict' } where the key was used for other content, nil where it was not used.
local function rememberedAnswer(once, fingerprint)
  local kept = once and redis.call('LRANGE', once, 0, -1)
  if not kept or not kept[1] then return nil end
  if kept[1] ~= fingerprint then return { 'conflict' } end
  table.remove(kept, 1)
  return kept
end

local function remember(once, fingerprint, ttl, answer)
  if not once then return end
  redis.call('RPUSH', once, fingerprint, unpack(answer))
  redis.call('EXPIRE', once, ttl)
end
