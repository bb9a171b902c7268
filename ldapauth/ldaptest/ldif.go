package ldaptest

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the storage scheme of the directory, not of ours
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// entry is one LDIF record (RFC 2849); values of one attribute stand together,
// as slapadd wants them.
type entry struct {
	dn     string
	values [][2]string
}

func (e entry) with(attribute string, values ...string) entry {
	for _, v := range values {
		e.values = append(e.values, [2]string{attribute, v})
	}
	return e
}

// below moves an entry.
func (e entry) below(parent, rdn string) entry {
	e.dn = rdn + "," + parent
	return e
}

// ldif writes every value in base64, so that no value needs special care.
func ldif(entries []entry) string {
	var b strings.Builder
	for _, e := range entries {
		writeLine(&b, "dn", e.dn)
		for _, v := range e.values {
			writeLine(&b, v[0], v[1])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// withIDs gives every entry the same id on every server, as replicas have it.
func withIDs(entries []entry) []entry {
	for i, e := range entries {
		entries[i] = e.with("entryUUID", uuidOf(e.dn))
	}
	return entries
}

func uuidOf(dn string) string {
	sum := sha256.Sum256([]byte(dn))
	sum[6] = sum[6]&0x0f | 0x80 // version 8, RFC 9562 section 5.8
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func writeLine(b *strings.Builder, name, value string) {
	b.WriteString(name)
	b.WriteString(":: ")
	b.WriteString(base64.StdEncoding.EncodeToString([]byte(value)))
	b.WriteByte('\n')
}

// saltedHash stores a password as most OpenLDAP directories do, {SSHA}.
func saltedHash(password string) string {
	salt := make([]byte, 8)
	_, _ = rand.Read(salt) // never fails
	sum := sha1.Sum(append([]byte(password), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}
