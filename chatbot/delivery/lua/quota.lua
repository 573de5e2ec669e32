-- Grant quota to the people of a claimed batch.
--
-- KEYS: the people reached in the last day (sorted set), then one key per person: the time at which
--       that person's bucket is full again.
-- ARGV: now (empty: this server's clock), people per day (0: no limit), TTL of the sorted set, tokens
--       that must remain in a bucket, then for each person: member of the sorted set (empty: does not
--       count), number of messages.
-- Returns only the people who do not get all: {index (from 0), number of messages granted, seconds until
-- the next one}.
local SIZE, EVERY = 45, 6

local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = t[1] + t[2] / 1000000
end
local limit, ttl, reserve = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local people, answers = redis.call('ZCARD', KEYS[1]), {}

-- Ten minutes at most, since the limit may be raised meanwhile.
local function until_room()
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
  return math.max(1, math.min(600, (oldest or now) + 86400 - now))
end

local function refuse(i, count, wait)
  answers[#answers + 1] = {i - 2, count, tostring(wait)}
end

for i = 2, #KEYS do
  local person, wanted = ARGV[2 * i + 1], tonumber(ARGV[2 * i + 2])
  local counts = limit > 0 and person ~= ''
  local is_new = counts and not redis.call('ZSCORE', KEYS[1], person)
  if is_new and people >= limit then
    refuse(i, 0, until_room())
  else
    local full = math.max(now, tonumber(redis.call('GET', KEYS[i])) or 0)
    full = math.min(full, now + SIZE * EVERY)
    local room = math.floor(SIZE - (full - now) / EVERY + 0.000001) - reserve
    local count = math.max(0, math.min(wanted, room))
    full = full + count * EVERY
    if count > 0 then
      redis.call('SET', KEYS[i], string.format('%.6f', full), 'EX', math.ceil(full - now) + 1)
    end
    if count > 0 and counts then
      redis.call('ZADD', KEYS[1], string.format('%.6f', now), person)
      redis.call('EXPIRE', KEYS[1], ttl)
      if is_new then people = people + 1 end
    end
    if count < wanted then
      refuse(i, count, math.max(0, full - now - (SIZE - reserve - 1) * EVERY))
    end
  end
end
return answers
