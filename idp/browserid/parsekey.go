package browserid

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/bits"

	"persona-sidecar/idp/browserid/strictjson"
)

// longestKey bounds the JSON of a key in bytes. The hub's own bound was 10,240.
const longestKey = 10_240

// Numbers are bounded before they are computed with, above 4096 bit, so that a
// key of that popular size is told its size.
const (
	longestDecimal = 1300
	longestBase64  = 700
	longestHex     = 1024
)

// ParsePublicKey reads a public key in either form of the protocol: the classic
// {"algorithm":"RS","n":decimal,"e":decimal} and
// {"algorithm":"DS","y":hex,"p":hex,"q":hex,"g":hex}, or a JSON Web Key with
// "kty" and base64url. The object may itself be wrapped in a JSON string, as
// genKeyPair hands it to pages. Numbers with signs, decimal ones with leading
// zeros, repeated members and private keys are errors; so are weak keys, see
// [PublicKey]. Another RSA size is [ErrKeySize], a DSA key outside the two
// groups [ErrNotSupported].
//
// A key that parses may still be too weak to be used: see
// [PublicKey.CheckClientKey].
func ParsePublicKey(data []byte) (*PublicKey, error) {
	if len(data) > longestKey {
		return nil, fmt.Errorf("public key is longer than %d bytes", longestKey)
	}
	key, err := parseKeyText(data)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return key, nil
}

func parseKeyText(data []byte) (*PublicKey, error) {
	data, err := unwrap(data)
	if err != nil {
		return nil, err
	}
	obj, err := strictjson.Parse(data)
	if err != nil {
		return nil, err
	}
	return parseKey(obj)
}

// unwrap returns what a JSON string holds, and anything else as it is.
func unwrap(data []byte) ([]byte, error) {
	if len(data) == 0 || data[0] != '"' {
		return data, nil
	}
	if !json.Valid(data) {
		return nil, strictjson.Malformed(data)
	}
	return strictjson.Unquote(data)
}

func parseKey(obj strictjson.Object) (*PublicKey, error) {
	if _, ok := obj.Get("d"); ok {
		return nil, errPrivate()
	}
	if _, ok := obj.Get("kty"); ok {
		return parseJWK(obj)
	}
	return parseClassic(obj)
}

func errPrivate() error {
	return errors.New("this is a private key, which only its owner may see")
}

func parseClassic(obj strictjson.Object) (*PublicKey, error) {
	algorithm, err := obj.Text("algorithm")
	if err != nil {
		return nil, err
	}
	switch algorithm {
	case "RS", "RSA":
	case "DS", "DSA":
		return parseDSA(obj, hexNumber)
	default:
		return nil, unknownKind(algorithm)
	}
	modulus, n, err := decimal(obj, "n")
	if err != nil {
		return nil, err
	}
	_, e, err := decimal(obj, "e")
	if err != nil {
		return nil, err
	}
	return assemble(n, e, modulus)
}

func parseJWK(obj strictjson.Object) (*PublicKey, error) {
	kty, err := obj.Text("kty")
	if err != nil {
		return nil, err
	}
	switch kty {
	case "RSA":
	case "DSA":
		return parseDSA(obj, base64Number)
	default:
		return nil, unknownKind(kty)
	}
	n, err := base64Number(obj, "n")
	if err != nil {
		return nil, err
	}
	e, err := base64Number(obj, "e")
	if err != nil {
		return nil, err
	}
	return assemble(n, e, n.String())
}

func unknownKind(kind string) error {
	return fmt.Errorf("a key of kind %s is %w", strictjson.Quote(kind), ErrNotSupported)
}

// assemble makes the key of two positive numbers.
func assemble(n, e *big.Int, modulus string) (*PublicKey, error) {
	exponent := int64(1) << 62 // any number that is too large
	if e.IsInt64() {
		exponent = e.Int64()
	}
	if err := checkRSA(n, exponent); err != nil {
		return nil, err
	}
	return &PublicKey{rsa: rsa.PublicKey{N: n, E: int(exponent)}, modulus: modulus}, nil
}

// decimal reads a number in its only spelling: digits, no leading zero.
func decimal(obj strictjson.Object, name string) (string, *big.Int, error) {
	text, err := obj.Text(name)
	if err != nil {
		return "", nil, err
	}
	switch {
	case len(text) > longestDecimal:
		return "", nil, tooLong(name)
	case text == "":
		return "", nil, fmt.Errorf("%q is not a decimal number", name)
	}
	number, ok := decimalNumber(text)
	switch {
	case !ok:
		return "", nil, fmt.Errorf("%q is not a decimal number", name)
	case text[0] == '0':
		return "", nil, fmt.Errorf("%q has leading zeros", name)
	}
	return text, number, nil
}

// decimalNumber reads digits and nothing else, as big.Int.SetString does in
// five times the time: reading the modulus is the dearest part of a verification
// beside the signatures. It takes as many digits at a time as a word holds.
func decimalNumber(text string) (*big.Int, bool) {
	const atOnce = bits.UintSize * 19 / 64 // 10^19 and 10^9 fit into a word of 64 and 32 bit
	words := make([]big.Word, 0, len(text)*27/bits.UintSize/8+2)
	for len(text) > 0 {
		n := (len(text)-1)%atOnce + 1
		digits, scale := uint(0), uint(1)
		for i := range n {
			digit := uint(text[i]) - '0'
			if digit > 9 {
				return nil, false
			}
			digits, scale = digits*10+digit, scale*10
		}
		text = text[n:]
		for i, word := range words { // words = words*scale + digits
			high, low := bits.Mul(uint(word), scale)
			low, carry := bits.Add(low, digits, 0)
			words[i], digits = big.Word(low), high+carry
		}
		if digits > 0 {
			words = append(words, big.Word(digits))
		}
	}
	return new(big.Int).SetBits(words), true
}

// base64Number reads an unsigned big-endian number without leading zero bytes
// (RFC 7518 section 2, Base64urlUInt).
func base64Number(obj strictjson.Object, name string) (*big.Int, error) {
	text, err := obj.Text(name)
	if err != nil {
		return nil, err
	}
	if len(text) > longestBase64 {
		return nil, tooLong(name)
	}
	data, _, err := decodeBase64([]byte(text), nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q: %w", name, err)
	case len(data) == 0:
		return nil, fmt.Errorf("%q is empty", name)
	case data[0] == 0:
		return nil, fmt.Errorf("%q has leading zeros", name)
	}
	return new(big.Int).SetBytes(data), nil
}

func tooLong(name string) error {
	return fmt.Errorf("%w: %q is too long", ErrKeySize, name)
}
