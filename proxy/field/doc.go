// Package field knows the fields of HTTP messages by their names: which belong to one
// connection, which name a person or say where a request came from, which may stand
// behind a body, and how standards spell them.
package field
