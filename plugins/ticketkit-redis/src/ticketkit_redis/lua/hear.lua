-- Entries after some ids. KEYS: streams. ARGV: limit, number of the stream to begin with (from 0), an id for each.
-- Answers the numbers of streams whose ids went back, for the server lost data; and entries as (number, id, attributes,
-- body).
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local limit, found, lost = tonumber(ARGV[1]), {}, {}
for i = 0, #KEYS - 1 do
  local number = (i + ARGV[2]) % #KEYS + 1
  local key, start = KEYS[number], ARGV[number + 2]
  local newest = redis.call('EXISTS', key) == 1 and redis.call('XINFO', 'STREAM', key) or {}
  local tail = '0-0'
  for j = 1, #newest, 2 do
    if newest[j] == 'last-generated-id' then tail = newest[j + 1] end
  end
  local ms, seq = parts(tail)
  local start_ms, start_seq = parts(start)
  if ms < start_ms or (ms == start_ms and seq < start_seq) then
    start = '0-0'
    lost[#lost + 1] = number
  end
  if #found < limit then
    for _, entry in ipairs(redis.call('XRANGE', key, '(' .. start, '+', 'COUNT', limit - #found)) do
      local fields = {}
      for j = 1, #entry[2], 2 do fields[entry[2][j]] = entry[2][j + 1] end
      found[#found + 1] = {number, entry[1], fields.a or '', fields.d or ''}
    end
  end
end
return {lost, found}
