-- Looks up what nodes have said of objects (say.lua).
--
-- KEYS[1]: what all keys begin with. ARGV[1]: milliseconds for which a new store is not believed to know
-- all. ARGV[2], ARGV[3]: "id" and an id, "of" and "kind:owner", or "models".
-- Answers whether what is not found is not there ("1") or may be still to come ("0"), and then what was
-- found: the object; ids, backends and times; names and objects.
local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- A store that is new, or has lost what it held, hears first what the nodes know.
local since = redis.call('GET', prefix .. ':since')
local is_sure = since and now - tonumber(since) >= tonumber(ARGV[1])
  and redis.call('ZCOUNT', prefix .. ':saying', string.format('%.0f', now), '+inf') == 0
local answer = { is_sure and '1' or '0' }
local function add(values)
  for place = 1, #values do answer[#answer + 1] = values[place] end
end
if ARGV[2] == 'id' then
  local text = redis.call('GET', prefix .. ':id:' .. ARGV[3])
  if text then add({ text }) end
elseif ARGV[2] == 'of' then
  add(redis.call('ZRANGE', prefix .. ':of:' .. ARGV[3], 0, -1, 'WITHSCORES'))
else
  add(redis.call('HGETALL', prefix .. ':models'))
end
return answer
