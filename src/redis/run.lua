-- Included before every script that may only execute in the run of Redis its caller knows: another run may have less data.
-- A run is one server process as a primary; it ends with a restart or a failover.
--
-- ARGV  (the last two, added by scripts.ts, and removed before the script runs) 'settled' once every node has had time to report what it knows of the run's
--       data, else 'new'; on a Cluster, whose client follows redirections silently,
--       followed by ' cluster ' and the run from which it moved the slot to another living primary, '-' for none
--       and, last, the run the caller knows, '' for none
local knownRun = table.remove(ARGV)
local runMode = table.remove(ARGV)
-- Longer than 'settled'.
local isHandedOn = #runMode > 7

-- Fails before anything is written; the caller learns the run and repeats the call. A run is the server's id and, if it was
-- promoted, the replication offset at that time. The replication id would not work: it changes when the first replica
-- connects. A user without the right to INFO has one run forever. INFO is the most expensive part of a script, so a batch
-- calls it once.
local isRunRight = false
local function checkRun()
  if isRunRight then return end
  local current = 'unknown'
  local isAllowed, info = pcall(redis.call, 'INFO', 'server', 'replication')
  if isAllowed then
    current = string.sub(string.match(info, 'run_id:(%x+)') or '', 1, 16)
    local promotedAt = string.match(info, 'second_repl_offset:(%d+)')
    if promotedAt then current = current .. '.' .. promotedAt end
  end
  if current ~= knownRun then error({ err = 'WRONGRUN ' .. current }) end
  isRunRight = true
end
