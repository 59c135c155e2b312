-- Cut what is older than `keep` and what every group has acknowledged; in one step, so no group comes between.
-- KEYS: streams. ARGV: keep in milliseconds. Answers how many entries are gone.
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function older(one, other)
  local ms, seq = parts(one)
  local other_ms, other_seq = parts(other)
  return ms < other_ms or (ms == other_ms and seq < other_seq)
end

local time, gone = redis.call('TIME'), 0
local oldest = string.format('%.0f-0', math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1]))
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    local bound = oldest
    for _, row in ipairs(redis.call('XINFO', 'GROUPS', key)) do
      local group = {}
      for i = 1, #row, 2 do group[row[i]] = row[i + 1] end
      -- The last one that was delivered stays: what comes after it was not read.
      if older(group['last-delivered-id'], bound) then bound = group['last-delivered-id'] end
      local waiting = redis.call('XPENDING', key, group.name)
      if waiting[1] > 0 and older(waiting[2], bound) then bound = waiting[2] end
    end
    gone = gone + redis.call('XTRIM', key, 'MINID', '~', bound, 'LIMIT', 10000)
  end
end
return gone
