// Package provision is the first envelope of a session: the BrowserID support
// document, the provisioning page that hubs frame, and the identity
// certificates that it fetches.
package provision
