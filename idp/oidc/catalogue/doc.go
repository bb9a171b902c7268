// Package catalogue knows apps that sign people in by OpenID Connect: what a provider has to know of
// each, and what its administrator has to paste into it. The presets are data, one file for each kind
// of app, with the sources of what it says.
package catalogue
