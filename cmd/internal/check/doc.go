// Package check finds what is wrong with a configuration, the machine, the names
// and what an outsider sees of a domain. It is behind `persona check`. It asks
// over DNS, TCP, TLS and HTTP as a hub, a verifier or a browser does; only files,
// the directory and the website are read from inside. It changes nothing.
//
// A [Checker] plans [Group]s of [Step]s; [Run] takes them in order, and a
// [Reporter] prints each [Finding] as soon as it is there.
package check
