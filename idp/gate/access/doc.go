// Package access has the rules by which a part of a website is open to everyone, to
// people who are signed in, or to members of a group.
package access
