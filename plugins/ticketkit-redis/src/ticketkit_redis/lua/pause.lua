-- Microseconds until a timer may be claimed; -1 when there is none. KEYS: waiting, held.
local time = redis.call('TIME')
local now, pause = time[1] * 1000000 + time[2], -1
for _, key in ipairs(KEYS) do
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if first then
    local left = math.max(0, tonumber(first) - now)
    if pause < 0 or left < pause then pause = left end
  end
end
return pause
