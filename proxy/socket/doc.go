// Package socket reads from sockets and writes to them without Go's preparations for system
// calls that may block: those on a socket of package net never do.
package socket
