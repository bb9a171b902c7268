// Package check looks for what is wrong: with the configuration, the machine,
// the names, and with all that an outsider sees of a domain. It is behind
// `persona check`.
//
// It stands beside the flows and goes through each of them from outside, over
// DNS, TCP and TLS, as a hub, a verifier or a browser would; the only things it
// looks at from inside are files, the directory and the website. It changes
// nothing: no file is made, no key is created.
//
// An [Examiner] plans [Group]s of [Step]s for a target; [Run] takes them one by
// one, and a [Reporter] tells each [Finding] as soon as it is there.
package check
