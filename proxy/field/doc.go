// Package field knows the fields of HTTP messages by their names: which belong to one
// connection, which name a person or say where a request came from, which may stand
// behind a body, how standards spell them, and what is left of the values of a few.
package field
