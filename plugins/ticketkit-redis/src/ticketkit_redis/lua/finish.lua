-- End one delivery that was not handled, in one step, unless it was taken over.
-- KEYS: stream, again, delayed, dead, letter, malformed. ARGV: group, member, id, times delivered, channel, name, how, ...
--   retry, microseconds, attempt | bury, id of the letter, attempts, error | malformed
local stream, again, delayed = KEYS[1], KEYS[2], KEYS[3]
local group, member, id, how = ARGV[1], ARGV[2], ARGV[3], ARGV[7]
local known = redis.pcall('XPENDING', stream, group, id, id, 1)
if known.err then return known end
if not known[1] or known[1][2] ~= member or known[1][4] ~= tonumber(ARGV[4]) then return 0 end

local fields, entry = {}, redis.call('XRANGE', stream, id, id)[1]
if entry then
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
end
if how == 'retry' and fields.a then
  local time = redis.call('TIME')
  local due = time[1] * 1000000 + time[2] + ARGV[8]
  local copy = table.concat({id, ARGV[9], #fields.a, fields.a .. fields.d}, ' ')
  redis.call('ZADD', delayed, string.format('%.0f', due), copy)
  redis.call('PUBLISH', ARGV[5], ARGV[6])
elseif how == 'bury' and fields.a then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[4], string.format('%.0f', time[1] * 1000000 + time[2]), ARGV[8])
  redis.call('HSET', KEYS[5], 'group', group, 'name', ARGV[6], 'attempts', ARGV[9], 'error', ARGV[10],
    'a', fields.a, 'd', fields.d)
elseif how == 'malformed' then
  redis.call('XADD', KEYS[6], '*', 'stream', stream, 'group', group, 'a', fields.a or '', 'd', fields.d or '')
end
redis.call('XACK', stream, group, id)
if stream == again then redis.call('XDEL', stream, id) end
return 1
