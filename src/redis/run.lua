-- Stands before every script that may only work in the run of Redis its caller knows: another run may have less data.
-- A run is one server process as a primary; it ends with a restart, and with a failover.
--
-- ARGV  (the last two, added by scripts.ts) 'settled' once every node has had the time to say what it knows of the data
--       of the run, else 'new'; on a Cluster, which hands a call on to another primary without a word to the caller,
--       followed by ' cluster ' and the run from which it moved the slot to another living primary, '-' for none
--       and, last, the run the caller knows, '' for none
local runMode, knownRun = ARGV[#ARGV - 1], ARGV[#ARGV]
-- Longer than 'settled'.
local isHandedOn = #runMode > 7

-- Fails before anything is written; the caller learns the run and calls again. A run is the server's id and, where it was
-- promoted, the offset at which it was. The replication id is of no use: it changes when the first replica comes. A user
-- without the right to INFO has one run for ever. INFO is dearer than all else that a script does, and where calls are
-- gathered many ask.
local isRunRight = false
local function checkRun()
  if isRunRight then return end
  local present = 'unknown'
  local isTold, info = pcall(redis.call, 'INFO', 'server', 'replication')
  if isTold then
    present = string.sub(string.match(info, 'run_id:(%x+)') or '', 1, 16)
    local promotedAt = string.match(info, 'second_repl_offset:(%d+)')
    if promotedAt then present = present .. '.' .. promotedAt end
  end
  if present ~= knownRun then error({ err = 'WRONGRUN ' .. present }) end
  isRunRight = true
end
