package message_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"persona-sidecar/ldapauth/message"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// searchOf decodes a search request as a server does.
func searchOf(tb testing.TB, b []byte) *ber.Packet {
	tb.Helper()
	packet, err := ber.DecodePacketErr(b)
	if err != nil || !bytes.Equal(packet.Bytes(), b) { // go-asn1-ber writes the shortest form, and so do we
		tb.Fatalf("%x is %v", b, err)
	}
	return packet.Children[1]
}

var filters = []string{
	"(uid=alice)", "(&(objectClass=person)(|(uid=alice)(mail=alice)))", "(!(uid=x))", "(mail=*)", "(mail=*@example.test)", "(cn=a*b*c)",
	`(cn=\28\29\2a\5c\00)`, `(cn=m\c3\bcller)`, "(cn=müller)", "(a>=5)", "(a<=5)", "(a~=5)", "(userAccountControl:1.2.840.113556.1.4.803:=2)",
	"(cn:dn:=x)", "(1.2.3=x)", "(cn;lang-de=x)", "(cn=)", "(&)", "(|)", "()", "(", "(uid=alice", "uid=alice", "(uid=alice))", `(uid=\zz)`, `(uid=\2`,
	"(&(a=b)(c=d)", "( & (a=b))", "(!(a=b)(c=d))", "(a=b(c)", "(=x)", strings.Repeat("(!", 200) + "(a=b)" + strings.Repeat(")", 200),
	"(|" + strings.Repeat("(mail=someone@example.test)", 100) + ")", "(cn=" + strings.Repeat("x", 70000) + ")",
}

func FuzzFilter(f *testing.F) {
	for _, filter := range filters {
		f.Add(filter)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		want, wantErr := ldap.CompileFilter(filter)
		b, err := message.AppendSearch(nil, 7, &ldap.SearchRequest{Filter: filter})
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, go-ldap: %v", filter, err, wantErr)
		}
		if err == nil && !bytes.Equal(searchOf(t, b).Children[6].Bytes(), want.Bytes()) {
			t.Errorf("%q: %x, go-ldap: %x", filter, b, want.Bytes())
		}
	})
}

func TestSearch(t *testing.T) {
	t.Parallel()
	req := &ldap.SearchRequest{
		BaseDN: "dc=test", Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases, SizeLimit: 200, TimeLimit: 40000, TypesOnly: true,
		Filter: "(uid=alice)", Attributes: []string{"mail", "entryUUID"}, Controls: []ldap.Control{ldap.NewControlPaging(5)},
	}
	b, err := message.AppendSearch([]byte("before"), 300, req)
	if err != nil {
		t.Fatal(err)
	}
	packet, err := ber.DecodePacketErr(b[len("before"):])
	if err != nil {
		t.Fatal(err)
	}
	search := packet.Children[1]
	var got []any
	for _, child := range append([]*ber.Packet{packet.Children[0]}, search.Children[:6]...) {
		got = append(got, child.Value)
	}
	for _, child := range search.Children[7].Children {
		got = append(got, child.Value)
	}
	control, err := ldap.DecodeControl(packet.Children[2].Children[0])
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, control.GetControlType())
	want := []any{int64(300), "dc=test", int64(2), int64(0), int64(200), int64(40000), true, "mail", "entryUUID", ldap.ControlTypePaging}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBindAndExtended(t *testing.T) {
	t.Parallel()
	packet, err := ber.DecodePacketErr(message.AppendBind(nil, 1, "uid=alice", "pä*(\x01"))
	if err != nil {
		t.Fatal(err)
	}
	bind := packet.Children[1]
	control := packet.Children[2].Children[0]
	if bind.Tag != ldap.ApplicationBindRequest || bind.Children[0].Value != int64(3) || bind.Children[1].Value != "uid=alice" ||
		bind.Children[2].Data.String() != "pä*(\x01" || control.Children[0].Value != ldap.ControlTypeBeheraPasswordPolicy {
		t.Errorf("%v", packet)
	}
	packet, err = ber.DecodePacketErr(message.AppendExtended(nil, 2, "1.2.3", []byte("value")))
	if err != nil || packet.Children[1].Tag != ldap.ApplicationExtendedRequest || len(packet.Children[1].Children) != 2 {
		t.Errorf("%v, %v", packet, err)
	}
}

// answer encodes an LDAPMessage as a server does.
func answer(id int64, op *ber.Packet, controls ...*ber.Packet) []byte {
	packet := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	packet.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	packet.AppendChild(op)
	if len(controls) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, control := range controls {
			list.AppendChild(control)
		}
		packet.AppendChild(list)
	}
	return packet.Bytes()
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func result(op message.Op, code int64, diagnostic string) *ber.Packet {
	packet := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ber.Tag(op&0x1f), nil, "")
	packet.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	packet.AppendChild(text("dc=matched"))
	packet.AppendChild(text(diagnostic))
	return packet
}

func entryOf(dn string, attributes ...[]string) *ber.Packet {
	packet := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	packet.AppendChild(text(dn))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for _, attribute := range attributes {
		one := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		one.AppendChild(text(attribute[0]))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, value := range attribute[1:] {
			set.AppendChild(text(value))
		}
		one.AppendChild(set)
		list.AppendChild(one)
	}
	packet.AppendChild(list)
	return packet
}

func parse(t *testing.T, b []byte) message.Message {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(b))
	raw, err := message.Read(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := message.Parse(raw)
	if err != nil {
		t.Fatalf("%x: %v", raw, err)
	}
	return m
}

func TestEntry(t *testing.T) {
	t.Parallel()
	want := ldap.NewEntry("cn=Ü,dc=test", nil)
	want.Attributes = []*ldap.EntryAttribute{
		ldap.NewEntryAttribute("mail", []string{"a@example.test", "", strings.Repeat("x", 300)}),
		ldap.NewEntryAttribute("objectGUID", []string{"\x00\xff\x80"}),
		ldap.NewEntryAttribute("none", []string{}),
	}
	raw := answer(1<<30, entryOf(want.DN, []string{"mail", "a@example.test", "", strings.Repeat("x", 300)}, []string{"objectGUID", "\x00\xff\x80"}, []string{"none"}))
	m := parse(t, raw)
	e, err := m.Entry()
	if err != nil || m.ID != 1<<30 || m.Op != message.SearchEntry {
		t.Fatalf("%+v, %v", m, err)
	}
	if diff := cmp.Diff(want, e, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if e, err := parse(t, answer(1, entryOf("dc=test"))).Entry(); err != nil || e.DN != "dc=test" || len(e.Attributes) != 0 {
		t.Errorf("%v, %v", e, err)
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	if err := parse(t, answer(1, result(message.BindResponse, 0, ""))).Result(); err != nil {
		t.Error(err)
	}
	var e *ldap.Error
	err := parse(t, answer(1, result(message.SearchDone, 49, "data 52e"))).Result()
	if !errors.As(err, &e) || e.ResultCode != 49 || e.MatchedDN != "dc=matched" || e.Err.Error() != "data 52e" {
		t.Errorf("%#v", err)
	}
	// A server cannot say what go-ldap says of the network.
	for _, code := range []int64{-1, 200, 70000} {
		if err := parse(t, answer(1, result(message.BindResponse, code, ""))).Result(); err == nil || errors.As(err, &e) {
			t.Errorf("code %d: %v", code, err)
		}
	}
	if err := parse(t, answer(1, entryOf("dc=test"))).Result(); err == nil || errors.As(err, &e) {
		t.Errorf("an entry is a result: %v", err)
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	policy := func(value string) *ber.Packet {
		control := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		control.AppendChild(text(ldap.ControlTypeBeheraPasswordPolicy))
		control.AppendChild(text(value))
		return control
	}
	other := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	other.AppendChild(text("1.2.3"))
	other.AppendChild(ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, ""))
	for value, want := range map[string]struct {
		expire, grace int64
		problem       int8
	}{
		"\x30\x00":                                 {-1, -1, -1},
		"\x30\x03\x81\x01\x02":                     {-1, -1, 2},
		"\x30\x05\xa0\x03\x81\x01\x00":             {-1, 0, -1},
		"\x30\x06\xa0\x04\x80\x02\x02\x58":         {600, -1, -1},
		"\x30\x08\xa0\x03\x81\x01\x05\x81\x01\x00": {-1, 5, 0},
		"":             {-1, -1, -1},
		"\x30\x7f\x81": {-1, -1, -1},
		"\x30\x09\xa0\x04\x80\x02\x02\x58\x81\x01\x01": {600, -1, 1},
	} {
		got := parse(t, answer(1, result(message.BindResponse, 0, ""), other, policy(value))).Policy()
		if got == nil || got.Expire != want.expire || got.Grace != want.grace || got.Error != want.problem {
			t.Errorf("%x: %+v, want %+v", value, got, want)
		}
	}
	if got := parse(t, answer(1, result(message.BindResponse, 0, ""), other)).Policy(); got != nil {
		t.Errorf("%v, and there is none", got)
	}
}

// TestRead cuts messages from a stream, whatever the form of their lengths.
func TestRead(t *testing.T) {
	t.Parallel()
	long := answer(2, entryOf("dc=test", []string{"a", strings.Repeat("x", 70000)}))
	stream := "\x30\x03\x02\x01\x05" + "\x30\x84\x00\x00\x00\x03\x02\x01\x06" + string(long)
	r := bufio.NewReader(strings.NewReader(stream))
	var buffer []byte
	for _, want := range []int{5, 9, len(long)} {
		b, err := message.Read(r, buffer)
		if err != nil || len(b) != want {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		buffer = b[:0]
	}
	if _, err := message.Read(r, buffer); !errors.Is(err, io.EOF) {
		t.Errorf("%v at the end", err)
	}
	for bad, want := range map[string]string{
		"HTTP/1.1": "not LDAP", "\x30\x80": "not LDAP", "\x30\x85\x00": "not LDAP", "\x30": "unexpected EOF", "\x30\x05\x02": "unexpected EOF", "\x30\x82\x01": "unexpected EOF",
		"\x30\x84\xff\xff\xff\xff\x02\x01\x01": "4294967295 bytes", "": "EOF",
	} {
		if b, err := message.Read(bufio.NewReader(strings.NewReader(bad)), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %x, %v, want %q", bad, b, err, want)
		}
	}
}

// FuzzParse: whatever a server sends, it is taken apart within its bounds.
func FuzzParse(f *testing.F) {
	f.Add(answer(1, entryOf("dc=test", []string{"mail", "a", "b"})))
	f.Add(answer(1, result(message.BindResponse, 49, "no")))
	f.Add([]byte("\x30\x05\x02\x01\x01\x05\x00"))
	f.Add([]byte("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x7f"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		m, err := message.Parse(b)
		if err != nil {
			return
		}
		_ = m.Result()
		_ = m.Policy()
		if e, err := m.Entry(); err == nil {
			for _, a := range e.Attributes {
				_ = a.Name + strings.Join(a.Values, "")
			}
		}
	})
}
