/**
 * The script that Redis runs as one step: look at every limit, then take from all or from none. The
 * time is the server's, so gateways whose clocks differ count alike. A window is a list of times in
 * milliseconds, oldest first: 5 to 10 bytes each in Redis' packed lists (a sorted set takes ten times
 * that), cut by a binary search, so a take costs O(log n) however much has passed. A bucket is one
 * number: when it is full again. Both expire when they count no more.
 *
 * KEYS: the keys. ARGV: the time in ms (0: the server's), then kind, limit, period in ms and cost of
 * each key. Answers allowed (1 or 0), remaining, retry_ms, more_ms of each.
 */
export const take_script = `
local clock = tonumber(ARGV[1])
if clock == 0 then
  local time = redis.call('TIME')
  clock = time[1] * 1000 + math.floor(time[2] / 1000)
end
local hair = 1e-6
local looked, refused = {}, false

for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 4
  local one = { limit = tonumber(ARGV[at + 1]), period = tonumber(ARGV[at + 2]),
    cost = tonumber(ARGV[at + 3]), bucket = ARGV[at] == 'bucket' }
  if one.bucket then
    one.each = one.period / one.limit
    one.now = clock
    local full = tonumber(redis.call('GET', key) or clock)
    one.owed = math.min(math.max(full - clock, 0), one.period)
    one.after = one.owed + one.cost * one.each
    one.retry = one.after - one.period
    one.allowed = one.retry <= hair
  else
    local count = redis.call('LLEN', key)
    one.now = math.max(clock, tonumber(count > 0 and redis.call('LINDEX', key, -1) or clock))
    local cut = one.now - one.period
    if count > 0 and tonumber(redis.call('LINDEX', key, 0)) <= cut then
      local low, high = 1, count
      while low < high do
        local middle = math.floor((low + high) / 2)
        if tonumber(redis.call('LINDEX', key, middle)) <= cut then low = middle + 1
        else high = middle end
      end
      redis.call('LTRIM', key, low, -1)
      count = count - low
    end
    one.count = count
    one.allowed = count + one.cost <= one.limit
    if not one.allowed then
      local free = redis.call('LINDEX', key, count + one.cost - one.limit - 1)
      one.retry = tonumber(free or one.now) + one.period - one.now
    end
  end
  if not one.allowed then refused = true end
  looked[i] = one
end

local answer = {}
for i, key in ipairs(KEYS) do
  local one = looked[i]
  local remaining, more
  if one.bucket then
    local lacking = one.owed
    if not refused then
      lacking = one.after
      redis.call('SET', key, string.format('%.17g', one.now + lacking),
        'PX', math.max(1, math.ceil(lacking)))
    end
    remaining = math.floor((one.period - lacking) / one.each + hair)
    more = lacking <= hair and 0 or lacking - (one.limit - remaining - 1) * one.each - hair
  else
    if not refused then
      for _ = 1, one.cost do redis.call('RPUSH', key, string.format('%.0f', one.now)) end
      redis.call('PEXPIRE', key, one.period)
      one.count = one.count + one.cost
    end
    remaining = math.max(0, one.limit - one.count)
    more = 0
    if one.count > 0 then
      local first = redis.call('LINDEX', key, math.max(0, one.count - one.limit))
      more = tonumber(first) + one.period - one.now
    end
  end
  local retry = one.allowed and 0 or math.ceil(one.retry - hair)
  for _, number in ipairs({ one.allowed and 1 or 0, remaining, retry, math.ceil(more) }) do
    answer[#answer + 1] = number
  end
end
return answer
`;
