package browserid

import (
	"crypto/dsa" //nolint:staticcheck // browsers of 2012 made DSA keys; nothing but reading their signatures is done with it
	"crypto/fips140"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"persona-sidecar/idp/browserid/strictjson"
)

// dsaKey is the DSA key of a historic browser. y lies between 1 and p, and its
// order is not yet checked.
type dsaKey struct {
	group *dsaGroup
	y     *big.Int
}

// dsaGroup is one of the two groups in which all DSA keys of the protocol lie:
// the first test vectors of FIPS 186-3 for their sizes, appendix A.2.3.
type dsaGroup struct {
	algorithm string
	p, q, g   *big.Int
	hexes     [3]string // p, q, g in hexadecimal
	digest    func(input []byte) []byte
}

// signatureSize is r and s, each as long as q, in bytes.
func (g *dsaGroup) signatureSize() int { return 2 * ((g.q.BitLen() + 7) / 8) }

// ds128 is the group of 1024 and 160 bit. Its name in the protocol counts
// security, not bits.
var ds128 = newGroup("DS128",
	"ff600483db6abfc5b45eab78594b3533d550d9f1bf2a992a7a8daa6dc34f8045"+
		"ad4e6e0c429d334eeeaaefd7e23d4810be00e4cc1492cba325ba81ff2d5a5b30"+
		"5a8d17eb3bf4a06a349d392e00d329744a5179380344e82a18c47933438f891e"+
		"22aeef812d69c8f75e326cb70ea000c3f776dfdbd604638c2ef717fc26d02e17",
	"e21e04f911d1ed7991008ecaab3bf775984309c3",
	"c52a4a0ff3b7e61fdf1867ce84138369a6154f4afa92966e3c827e25cfa6cf50"+
		"8b90e5de419e1337e07a2e9e2a3cd5dea704d175f8ebf6af397d69e110b96afb"+
		"17c7a03259329e4829b0d03bbc7896b15b4ade53e130858cc34d96269aa89041"+
		"f409136c7242a38895c9d5bccad4f389af1d7a4bd1398bd072dffa896233397a",
	func(input []byte) []byte { sum := sha1.Sum(input); return sum[:] })

// ds256 is the group of 2048 and 256 bit.
var ds256 = newGroup("DS256",
	"d6c4e5045697756c7a312d02c2289c25d40f9954261f7b5876214b6df109c738"+
		"b76226b199bb7e33f8fc7ac1dcc316e1e7c78973951bfc6ff2e00cc987cd76fc"+
		"fb0b8c0096b0b460fffac960ca4136c28f4bfb580de47cf7e7934c3985e3b3d9"+
		"43b77f06ef2af3ac3494fc3c6fc49810a63853862a02bb1c824a01b7fc688e40"+
		"28527a58ad58c9d512922660db5d505bc263af293bc93bcd6d885a157579d7f5"+
		"2952236dd9d06a4fc3bc2247d21f1a70f5848eb0176513537c983f5a36737f01"+
		"f82b44546e8e7f0fabc457e3de1d9c5dba96965b10a2a0580b0ad0f88179e100"+
		"66107fb74314a07e6745863bc797b7002ebec0b000a98eb697414709ac17b401",
	"b1e370f6472c8754ccd75e99666ec8ef1fd748b748bbbc08503d82ce8055ab3b",
	"9a8269ab2e3b733a5242179d8f8ddb17ff93297d9eab00376db211a22b19c854"+
		"dfa80166df2132cbc51fb224b0904abb22da2c7b7850f782124cb575b116f41e"+
		"a7c4fc75b1d77525204cd7c23a15999004c23cdeb72359ee74e886a1dde7855a"+
		"e05fe847447d0a68059002c3819a75dc7dcbb30e39efac36e07e2c404b7ca98b"+
		"263b25fa314ba93c0625718bd489cea6d04ba4b0b7f156eeb4c56c44b50e4fb5"+
		"bce9d7ae0d55b379225feb0214a04bed72f33e0664d290e7c840df3e2abb5e48"+
		"189fa4e90646f1867db289c6560476799f7be8420a6dc01d078de437f280fff2"+
		"d7ddf1248d56e1a54b933a41629d6c252983c58795105802d30d7bcd819cf6ef",
	func(input []byte) []byte { sum := sha256.Sum256(input); return sum[:] })

func newGroup(algorithm, p, q, g string, digest func([]byte) []byte) *dsaGroup {
	group := &dsaGroup{algorithm: algorithm, hexes: [3]string{p, q, g}, digest: digest}
	for i, number := range []**big.Int{&group.p, &group.q, &group.g} {
		*number, _ = new(big.Int).SetString(group.hexes[i], 16) // constants above, tested
	}
	return group
}

// parseDSA reads a DSA key whose numbers are written as read takes them. The
// group is compared, not computed with, so that a key costs nothing yet.
func parseDSA(obj strictjson.Object, read func(strictjson.Object, string) (*big.Int, error)) (*PublicKey, error) {
	if _, ok := obj.Get("x"); ok {
		return nil, errPrivate()
	}
	var numbers [4]*big.Int
	for i, name := range []string{"p", "q", "g", "y"} {
		number, err := read(obj, name)
		if err != nil {
			return nil, err
		}
		numbers[i] = number
	}
	for _, group := range []*dsaGroup{ds128, ds256} {
		if numbers[0].Cmp(group.p) == 0 && numbers[1].Cmp(group.q) == 0 && numbers[2].Cmp(group.g) == 0 {
			return newDSA(group, numbers[3])
		}
	}
	return nil, fmt.Errorf("a DSA key outside the two groups of the protocol is %w", ErrNotSupported)
}

func newDSA(group *dsaGroup, y *big.Int) (*PublicKey, error) {
	one := big.NewInt(1)
	if y.Cmp(one) <= 0 || y.Cmp(new(big.Int).Sub(group.p, one)) >= 0 {
		return nil, errors.New(`DSA number "y" is out of range`)
	}
	return &PublicKey{dsa: &dsaKey{group, y}}, nil
}

// hexNumber reads a number in hexadecimal. Unlike elsewhere upper case and
// leading zeros pass: browsers with a BrowserID of their own wrote whole bytes.
func hexNumber(obj strictjson.Object, name string) (*big.Int, error) {
	text, err := obj.Text(name)
	if err != nil {
		return nil, err
	}
	if len(text) > longestHex {
		return nil, tooLong(name)
	}
	if text == "" || strings.Trim(text, "0123456789abcdefABCDEF") != "" {
		return nil, fmt.Errorf("%q is not a hexadecimal number", name)
	}
	number, _ := new(big.Int).SetString(text, 16) // of digits only, so it succeeds
	return number, nil
}

// checkOrder checks that y generates the group that q is the order of (NIST SP
// 800-89 section 5.3.1). A key with another y verifies forged signatures.
func (k *dsaKey) checkOrder() error {
	if new(big.Int).Exp(k.y, k.group.q, k.group.p).Cmp(big.NewInt(1)) != 0 {
		return errors.New("DSA key is not in its group")
	}
	return nil
}

// verify checks a signature of full size: r and s, which must both lie between
// 0 and q. With r=1 and s=q, a verifier without this check accepts any input.
func (k *dsaKey) verify(input, signature []byte) error {
	if fips140.Enforced() {
		return fmt.Errorf("a DSA key is %w in FIPS 140 mode", ErrNotSupported)
	}
	half := len(signature) / 2
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	if k.checkOrder() != nil || r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(k.group.q) >= 0 || s.Cmp(k.group.q) >= 0 {
		return ErrSignature
	}
	public := dsa.PublicKey{Parameters: dsa.Parameters{P: k.group.p, Q: k.group.q, G: k.group.g}, Y: k.y}
	if !dsa.Verify(&public, k.group.digest(input), r, s) {
		return ErrSignature
	}
	return nil
}

// appendJSON writes the classic form, members in the order of the reference.
func (k *dsaKey) appendJSON(b []byte) []byte {
	b = append(b, `{"algorithm":"DS","y":"`...)
	b = k.y.Append(b, 16)
	for i, name := range []string{"p", "q", "g"} {
		b = append(b, `","`...)
		b = append(b, name...)
		b = append(b, `":"`...)
		b = append(b, k.group.hexes[i]...)
	}
	return append(b, `"}`...)
}
