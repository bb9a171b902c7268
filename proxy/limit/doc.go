// Package limit bounds what one client network, and all of them together, may
// have at once: connections, and requests in flight. A client that takes more
// than its share is refused, so that the others and the website are not.
package limit
