// Package group finds the groups of a person in a directory, groups of groups included, and reports whether a person is
// in the one group that a configuration requires, with as few questions as the kind of directory allows.
package group
