// Package schema describes how directories keep their people: which entries are people, by what they
// sign in, where their addresses, groups and ids stand, and what an entry says about its account. The
// presets are data, one file for each kind of directory, with the source of what it says.
package schema
