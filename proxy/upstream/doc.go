// Package upstream is the way to the website: one Proxy a site. The Host, the
// path and the query go through byte for byte and bodies are streamed both
// ways; forwarded headers are made anew from the middleware's Record, and our
// own cookies are taken out in both directions. When the website cannot answer,
// the client sees a page that says which site is unavailable, and the access log
// carries the reason.
package upstream
