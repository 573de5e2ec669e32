-- Reserve send times on a number.
--
-- KEYS: the throttle (hash: free, tokens, filled, slow, slow_at), the people reached in the last day
--       (sorted set), a flag: the sorted set was filled from SQL.
-- ARGV: now (empty: this server's clock), messages per second, wanted, 1 for a reply, people per day
--       (0: no limit), TTL.
-- Returns {count, seconds until the first, seconds between}; a count of -1: fill the sorted set first.
local CAMPAIGN_SHARE, REPLY_SHARE, HORIZON, RECOVERY = 0.9, 0.05, 1.0, 0.01

local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = t[1] + t[2] / 1000000
end
local rate, wanted = tonumber(ARGV[2]), tonumber(ARGV[3])
local is_reply, limit, ttl = ARGV[4] == '1', tonumber(ARGV[5]), ARGV[6]
local state = redis.call('HMGET', KEYS[1], 'free', 'tokens', 'filled', 'slow', 'slow_at')
for i = 1, 5 do state[i] = tonumber(state[i]) end

-- After "too fast" the rate recovers by a hundredth of the full one each second.
if state[4] and state[5] then
  rate = math.min(rate, state[4] + rate * RECOVERY * math.max(0, now - state[5]))
end
local gap = 1 / (rate * CAMPAIGN_SHARE)
-- A second's worth at most: claimed messages must be sent soon.
wanted = math.min(wanted, math.max(1, math.floor(rate)))
-- A clock that went back, or a value from before an outage, must not stop the number for long.
local free = math.min(state[1] or 0, now + 60)

if is_reply and free > now then
  -- Replies pass campaigns on their own share: half at once, half as it refills.
  local most = rate < 10 and 0 or math.max(1, math.floor(rate * REPLY_SHARE))
  local filled = math.max(0, now - (state[3] or 0)) * rate * REPLY_SHARE
  local tokens = math.min(most, (state[2] or most) + filled)
  local count = math.min(wanted, most)
  if count >= 1 and tokens >= count then
    redis.call('HSET', KEYS[1], 'tokens', tokens - count, 'filled', string.format('%.6f', now))
    redis.call('EXPIRE', KEYS[1], ttl)
    return {count, '0', '0'}
  end
end
if not is_reply and limit > 0 then
  if redis.call('EXISTS', KEYS[3]) == 0 then return {-1, '0', '0'} end
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 86400)
  local left = limit - redis.call('ZCARD', KEYS[2])
  if left <= 0 then
    local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
    return {0, tostring(math.max(1, oldest + 86400 - now)), tostring(gap)}
  end
  wanted = math.min(wanted, left)
end
local wait = math.max(0, free - now)
-- Campaigns reserve a second ahead at most, so that replies and a slower rate take effect soon.
if not is_reply and wait >= HORIZON then
  return {0, tostring(wait - HORIZON / 2), tostring(gap)}
end
redis.call('HSET', KEYS[1], 'free', string.format('%.6f', now + wait + wanted * gap))
redis.call('EXPIRE', KEYS[1], ttl)
return {wanted, tostring(wait), tostring(gap)}
