// Package identity holds the facts that everything else is about: the host
// that answers for a mail domain, the directory that knows its people, and a
// person in it. It has no behaviour beyond checking them.
package identity
