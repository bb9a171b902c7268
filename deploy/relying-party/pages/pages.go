// Package pages holds the pages that the example websites share: plain HTML and one small script.
// In them {{.Persona}} stands for the origin of the identity host, {{.CSRF}} for the site's own
// token, and {{.Email}} for the address of the person who is signed in.
//
// Their place in the flows is the relying party's, before a verification: the script gets the
// assertion and posts it to the site's server.
package pages

import "embed"

// Files are the two pages, the script and the style sheet.
//
//go:embed signed-out.html signed-in.html sign-in.js style.css
var Files embed.FS
