// Package errorpage writes the few pages that the proxy itself answers with:
// when a host is unknown, when a website is unavailable, when a handler fails.
// They stand on the website's own host and so bring nothing with them: no
// script, no style, nothing from elsewhere, and no word about the inside.
package errorpage
