-- Bodies from a file, a request per line, the next one each time. One with a path of its own: path, tab, body.
-- The last argument, if given, is the status that each answer must have; otherwise that is any below 400.
local requests, sent, threads = {}, 0, {}
wrong = 0

function setup(thread)
   threads[#threads + 1] = thread
end

function init(args)
   local method, path, authorization, file, status = args[1], args[2], args[3], args[4], tonumber(args[5])
   local headers = { ["Content-Type"] = "application/json", ["Authorization"] = authorization, ["Host"] = "127.0.0.1" }
   for line in io.lines(file) do
      local own_path, body = line:match("^([^\t]*)\t(.*)$")
      requests[#requests + 1] = wrk.format(method, own_path or path, headers, body or line)
   end
   if status then
      wrong = 0
      -- wrk reads answers only if there is such a function, which takes time.
      function response(found)
         if found ~= status then wrong = wrong + 1 end
      end
   else
      wrong = -1
   end
end

function request()
   sent = sent + 1
   return requests[(sent - 1) % #requests + 1]
end

function done(summary, latency, _)
   local e, failed = summary.errors, 0
   for _, thread in ipairs(threads) do
      local counted = thread:get("wrong")
      failed = failed + (counted < 0 and e.status or counted)
   end
   io.write(string.format(
      '\nRESULT {"requests": %d, "seconds": %.6f, "failures": %d, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f}\n',
      summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.timeout + failed,
      latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
