// Package access has the rules by which a part of a website is open to everyone, to
// people who are signed in, or to members of a group. What a website takes for one path
// is not known here, so a path has to pass the rules of all ways in which it may be read
// ([Table.For]), and one that may be read in any way at all is refused ([Odd]).
package access
