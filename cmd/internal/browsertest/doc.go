// Package browsertest drives the browsers other than Chromium that tests take a trip through: Firefox by
// WebDriver BiDi, WebKitGTK by WebDriver. They know no names and trust no authority but those of the test.
package browsertest
