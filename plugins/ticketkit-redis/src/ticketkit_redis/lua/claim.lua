-- Take up to `limit` entries for a member: what dead ones had, what is due again, what is new.
-- KEYS: (delayed, events, again) for each name.
-- ARGV: group, member, limit, number of the stream to begin with (from 0), lease in milliseconds or 0 for no rescue.
-- Answers: microseconds until the next delayed entry is due (-1: none), how many were rescued, entries as (number of the
-- key, id, times delivered, attempt, attributes, body), and what failed after some of them were taken.
local group, member, limit, rescue = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local names = #KEYS / 3
local found, failed = {}, nil

local function give(number, entry, times)
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  found[#found + 1] = {number, entry[1], times, fields.n or '1', fields.a or '', fields.d or ''}
end

local function rescued(number)
  local key, cursor = KEYS[number], '0-0'
  repeat
    local answer = redis.pcall('XAUTOCLAIM', key, group, member, rescue, cursor, 'COUNT', limit - #found)
    if answer.err then failed = answer return end
    cursor = answer[1]
    for _, entry in ipairs(answer[2]) do
      if entry and entry[2] then
        local known = redis.call('XPENDING', key, group, entry[1], entry[1], 1)
        give(number, entry, known[1][4])
      end
    end
  until cursor == '0-0' or #found >= limit
  -- Names of members that are gone are forgotten; one that lives is made again by its next claim.
  for _, other in ipairs(redis.call('XINFO', 'CONSUMERS', key, group)) do
    if other[4] == 0 and other[6] > rescue * 10 and other[2] ~= member then
      redis.call('XGROUP', 'DELCONSUMER', key, group, other[2])
    end
  end
end

local function move_due(delayed, again)
  for _, copy in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)) do
    local attempt, size, rest = string.match(copy, '^%S+ (%d+) (%d+) (.*)$')
    local cut = tonumber(size)
    local moved = redis.pcall('XADD', again, '*', 'n', attempt, 'a', string.sub(rest, 1, cut), 'd', string.sub(rest, cut + 1))
    if type(moved) == 'table' then failed = moved return end
    redis.call('ZREM', delayed, copy)
  end
end

local function read(number)
  local answer = redis.pcall('XREADGROUP', 'GROUP', group, member, 'COUNT', limit - #found, 'STREAMS', KEYS[number], '>')
  if not answer then return end
  if answer.err then failed = answer return end
  for _, entry in ipairs(answer[1][2]) do give(number, entry, 1) end
end

-- Each stream is the first in its turn: what comes again and again never keeps what is new from being read.
local order = {}
for i = 0, 2 * names - 1 do
  local stream = (i + ARGV[4]) % (2 * names)
  order[#order + 1] = math.floor(stream / 2) * 3 + 2 + stream % 2
end
for _, number in ipairs(order) do
  if rescue > 0 and #found < limit and not failed then rescued(number) end
end
local saved = #found
for i = 1, #KEYS, 3 do
  if #found < limit and not failed then move_due(KEYS[i], KEYS[i + 2]) end
end
for _, number in ipairs(order) do
  if #found < limit and not failed then read(number) end
end
if failed and #found == 0 then return failed end

local next_due = -1
for i = 1, #KEYS, 3 do
  local first = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  if first[2] then
    local pause = math.max(0, tonumber(first[2]) - now)
    if next_due < 0 or pause < next_due then next_due = pause end
  end
end
return {next_due, saved, found, failed and failed.err or ''}
