// Package hub is what the centre of Persona did besides showing a dialog:
// it says which authority stands behind an address, and which sites may ask
// for one.
//
// Its place in the flows: before a sign-in at a relying party, the dialog asks
// whether that site may use the hub ([RelyingParties]) and where the address
// that the person chose is confirmed ([Hub.AddressInfo]). Only then come the
// provisioning page and the certificate. It does no HTTP: package idp serves
// its answers, and [Discovery] looks at other domains.
package hub
