// Package website is the demo's sample website: what a company already has before the sidecar comes. It is the far end
// of the flow of a proxied request, knows nothing of the sidecar but a link to /persona/, and shows what reached it:
// the host, the forwarded headers, the cookies, and a clock that is streamed (server-sent events), so that a visitor
// sees that the sidecar passes things on as they are.
package website
