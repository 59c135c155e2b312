-- The newest id of each stream. KEYS: streams.
local tails = {}
for i, key in ipairs(KEYS) do
  local tail = '0-0'
  if redis.call('EXISTS', key) == 1 then
    local info = redis.call('XINFO', 'STREAM', key)
    for j = 1, #info, 2 do
      if info[j] == 'last-generated-id' then tail = info[j + 1] end
    end
  end
  tails[i] = tail
end
return tails
