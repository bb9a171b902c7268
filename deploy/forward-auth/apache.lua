-- Apache asks persona who is signed in, and passes /persona/ on: see apache.conf. Change the lines below.
local address     = "10.0.0.2"        -- where persona listens
local port        = 443
local identity    = "id.example.com"  -- the identity host, whose certificate it shows
local authorities = "/etc/ssl/certs/ca-certificates.crt"

local socket, ssl = require "socket", require "ssl"

local context = assert(ssl.newcontext({
	mode = "client", protocol = "any", options = { "all", "no_sslv2", "no_sslv3", "no_tlsv1", "no_tlsv1_1" },
	verify = "peer", cafile = authorities,
}))

local fields = { "Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "Remote-Id", "X-Persona-Assertion" }

-- What describes the connection or the body, and not the request.
local dropped = {
	["host"] = true, ["connection"] = true, ["keep-alive"] = true, ["te"] = true, ["trailer"] = true, ["upgrade"] = true,
	["transfer-encoding"] = true, ["content-length"] = true, ["expect"] = true, ["accept-encoding"] = true,
}

-- LuaSec looks at the chain alone.
local function is_identity(certificate)
	for _, extension in pairs(certificate:extensions()) do
		for _, name in ipairs(extension.dNSName or {}) do
			if name == identity or name == "*" .. identity:match("%..*$") then
				return true
			end
		end
	end
	return false
end

local function send(head, body)
	local connection = assert(socket.tcp())
	connection:settimeout(10)
	assert(connection:connect(address, port))
	connection = assert(ssl.wrap(connection, context))
	connection:sni(identity)
	connection:settimeout(10)
	assert(connection:dohandshake())
	assert(is_identity(connection:getpeercertificate()), "the certificate is not for " .. identity)
	assert(connection:send(table.concat(head, "\r\n") .. "\r\n\r\n" .. (body or "")))
	local answer = { fields = {} }
	answer.status = tonumber(assert(connection:receive("*l")):match("^HTTP/1%.[01] (%d%d%d)"))
	for line in function() return connection:receive("*l") end do
		local name, value = line:match("^([^:]+):%s*(.*)$")
		if not name then
			break
		end
		answer.fields[#answer.fields + 1] = { name, value }
	end
	answer.body = connection:receive("*a") or ""
	connection:close()
	return answer
end

-- request returns the head of a request to persona with the fields of the client's, of which persona is told all others
-- by this server alone.
local function request(r, method, target)
	local head = { method .. " " .. target .. " HTTP/1.0", "Host: " .. r.hostname, "X-Forwarded-For: " .. r.useragent_ip }
	for name, value in pairs(r:headers_in_table()) do
		local lower = name:lower()
		if not dropped[lower] and not lower:find("^x%-forwarded%-") and not lower:find("^x%-original%-") then
			head[#head + 1] = name .. ": " .. value
		end
	end
	return head
end

-- add_cookie adds a Set-Cookie line: setting the field itself would replace the line before. What follows the path goes
-- along with it, because setcookie does not know SameSite.
local function add_cookie(r, line)
	local key, value, path = line:match("^([^=]+)=([^;]*); Path=(.*)$")
	if key then
		r:setcookie({ key = key, value = value, path = path })
	end
end

local function take_over(r, answer)
	for _, field in ipairs(answer.fields) do
		local name, lower = field[1], field[1]:lower()
		if lower == "content-type" then
			r.content_type = field[2]
		elseif lower == "set-cookie" then
			add_cookie(r, field[2])
		elseif not dropped[lower] then
			r.err_headers_out[name] = field[2]
		end
	end
end

-- ask is the hook for every request.
function ask(r)
	if not r.is_initial_req then
		return apache2.DECLINED
	end
	-- In every spelling that a website may take for the same.
	for name in pairs(r:headers_in_table()) do
		local folded = name:lower():gsub("[^%w]", "-")
		if folded:find("^remote%-") or folded:find("^x%-persona%-") or folded:find("^x%-original%-") or folded:find("^x%-rewrite%-") then
			r.headers_in[name] = nil
		end
	end
	if r.uri:find("^/persona/") and r.unparsed_uri:find("^/persona/") then
		return apache2.DECLINED -- to pass
	end
	local head = request(r, "GET", "/persona/forward-auth?redirect=yes")
	head[#head + 1] = "X-Forwarded-Host: " .. r.hostname
	head[#head + 1] = "X-Forwarded-Method: " .. r.method
	head[#head + 1] = "X-Forwarded-Uri: " .. r.unparsed_uri
	head[#head + 1] = "X-Forwarded-Proto: " .. (r.is_https and "https" or "http")
	local asked, answer = pcall(send, head)
	if not asked then
		r:err("persona does not answer: " .. tostring(answer))
		return 503
	end
	if answer.status ~= 200 then
		take_over(r, answer)
		r.subprocess_env["suppress-error-charset"] = "1"
		if answer.body ~= "" then
			r:custom_response(answer.status, answer.body)
		end
		return answer.status
	end
	for _, field in ipairs(answer.fields) do
		for _, name in ipairs(fields) do
			if field[1]:lower() == name:lower() then
				r.headers_in[name] = field[2]
			end
		end
		if field[1]:lower() == "set-cookie" then
			add_cookie(r, field[2])
		end
	end
	-- The website gets all cookies but persona's.
	local kept = {}
	for cookie in (r.headers_in["Cookie"] or ""):gmatch("[^;]+") do
		cookie = cookie:gsub("^%s+", "")
		if not cookie:find("^__Host%-persona%-") then
			kept[#kept + 1] = cookie
		end
	end
	r.headers_in["Cookie"] = #kept > 0 and table.concat(kept, "; ") or nil
	return apache2.DECLINED
end

-- pass is the handler of what is below /persona/.
function pass(r)
	if r.uri == "/persona/forward-auth" then
		return 404 -- no client asks
	end
	local length, body = tonumber(r.headers_in["Content-Length"] or 0), nil
	if not length or length > 64 * 1024 then
		return 413
	elseif length > 0 then
		body = r:requestbody()
	end
	local head = request(r, r.method, r.unparsed_uri)
	head[#head + 1] = "X-Forwarded-Proto: " .. (r.is_https and "https" or "http")
	if body then
		head[#head + 1] = "Content-Length: " .. #body
	end
	local asked, answer = pcall(send, head, body)
	if not asked then
		r:err("persona does not answer: " .. tostring(answer))
		return 503
	end
	take_over(r, answer)
	r.status = answer.status
	r:write(answer.body)
	return apache2.OK
end
