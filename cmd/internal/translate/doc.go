// Package translate makes the settings of a directory and of the apps from the configuration. It
// opens and asks nothing.
package translate
