// Package mailbox reads e-mail addresses as directories write them: which values of an entry are addresses
// that may count, in their canonical form, why the others do not, and how a search finds everyone who has
// an address.
package mailbox
