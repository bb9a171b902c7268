package directory

import (
	"crypto/subtle"
	"fmt"
	"slices"
	"sync"

	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
)

// identity is who a connection is bound as; its zero value is an anonymous client.
type identity struct {
	dn      string // normalized
	service bool
}

// bound keeps who each connection is bound as.
type bound struct {
	mu          sync.Mutex
	connections map[int]identity
}

func (b *bound) set(connection int, who identity) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if who.dn == "" {
		delete(b.connections, connection)
		return
	}
	b.connections[connection] = who
}

func (b *bound) get(connection int) identity {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connections[connection]
}

// outcome is how an operation ends: a result code (RFC 4511, appendix A) and a message for debugging.
type outcome struct {
	code    int
	message string
}

var success = outcome{code: gldap.ResultSuccess}

// noPolicy is no error of the password policy control.
const noPolicy = -1

// routes answer binds and searches, and refuse every write.
func (s *Server) routes() (*gldap.Mux, error) {
	mux, err := gldap.NewMux()
	if err != nil {
		return nil, fmt.Errorf("making the LDAP routes: %w", err)
	}
	readOnly := func(application int) gldap.HandlerFunc {
		return func(w *gldap.ResponseWriter, r *gldap.Request) {
			_ = w.Write(r.NewResponse(
				gldap.WithApplicationCode(application),
				gldap.WithResponseCode(gldap.ResultUnwillingToPerform),
				gldap.WithDiagnosticMessage("this directory is read-only"),
			))
		}
	}
	for _, err := range []error{
		mux.Bind(s.serveBind),
		mux.Search(s.serveSearch),
		mux.Modify(readOnly(gldap.ApplicationModifyResponse)),
		mux.Add(readOnly(gldap.ApplicationAddResponse)),
		mux.Delete(readOnly(gldap.ApplicationDelResponse)),
	} {
		if err != nil {
			return nil, fmt.Errorf("making the LDAP routes: %w", err)
		}
	}
	return mux, nil
}

// Writing an answer fails only when the client has left.

func (s *Server) serveBind(w *gldap.ResponseWriter, r *gldap.Request) {
	response := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultProtocolError))
	defer func() { _ = w.Write(response) }()
	m, err := r.GetSimpleBindMessage()
	if err != nil {
		return
	}
	who, end, policy := s.tree.bind(m.UserName, string(m.Password))
	s.bound.set(r.ConnectionID(), who)
	response.SetResultCode(end.code)
	response.SetDiagnosticMessage(end.message)
	asked := slices.ContainsFunc(m.Controls, func(c gldap.Control) bool {
		return c.GetControlType() == gldap.ControlTypeBeheraPasswordPolicy
	})
	if policy == noPolicy || !asked {
		return
	}
	if control, err := gldap.NewControlBeheraPasswordPolicy(gldap.WithErrorCode(uint(policy))); err == nil {
		response.SetControls(control)
	}
}

// bind checks a simple bind. A failed one leaves the connection anonymous (RFC 4513, section 4). policy is the error of
// the password policy control (draft-behera-ldap-password-policy-10, section 6.2).
func (t *tree) bind(name, password string) (who identity, end outcome, policy int) {
	switch _, err := ldap.ParseDN(name); {
	case name == "" && password == "":
		return identity{}, success, noPolicy
	case password == "":
		return identity{}, outcome{gldap.ResultUnwillingToPerform, "a DN without a password proves nothing"}, noPolicy
	case err != nil:
		return identity{}, outcome{gldap.ResultInvalidDNSyntax, "the name is not a DN"}, noPolicy
	}
	dn := normalizeDN(name)
	known, found := t.accounts[dn]
	right := subtle.ConstantTimeCompare([]byte(known.password), []byte(password)) == 1
	refused := outcome{code: gldap.ResultInvalidCredentials}
	switch {
	case found && known.state == Locked:
		return identity{}, refused, gldap.BeheraAccountLocked
	case !found || !right:
		return identity{}, refused, noPolicy
	case known.state == MustChange:
		return identity{dn: dn}, success, gldap.BeheraChangeAfterReset
	}
	return identity{dn: dn, service: known.service}, success, noPolicy
}

func (s *Server) serveSearch(w *gldap.ResponseWriter, r *gldap.Request) {
	done := r.NewSearchDoneResponse(gldap.WithResponseCode(gldap.ResultProtocolError))
	defer func() { _ = w.Write(done) }()
	m, err := r.GetSearchMessage()
	if err != nil {
		return
	}
	found, end := s.tree.search(s.bound.get(r.ConnectionID()), m)
	for _, e := range found {
		answer := r.NewSearchResponseEntry(e.dn)
		for _, name := range e.selected(m.Attributes) {
			if m.TypesOnly {
				answer.AddAttribute(name, nil)
			} else {
				answer.AddAttribute(name, e.values[name])
			}
		}
		if w.Write(answer) != nil {
			return
		}
	}
	done.SetResultCode(end.code)
	done.SetDiagnosticMessage(end.message)
}

// search returns the entries that a search finds and that may be read.
func (t *tree) search(who identity, m *gldap.SearchMessage) ([]entry, outcome) {
	if m.BaseDN == "" && m.Scope == gldap.BaseObject { // the root DSE, for all (RFC 4512, section 5.1)
		return []entry{{values: values{
			"objectClass": {"top"}, "namingContexts": {t.baseDN}, "supportedLDAPVersion": {"3"},
			"supportedControl": {gldap.ControlTypeBeheraPasswordPolicy}, "vendorName": {"persona demo"},
		}}}, success
	}
	if who.dn == "" {
		return nil, outcome{gldap.ResultInsufficientAccessRights, "bind first: only the root DSE can be read without"}
	}
	for _, control := range m.Controls {
		if c, foreign := control.(*gldap.ControlString); foreign && c.Criticality {
			return nil, outcome{gldap.ResultUnavailableCriticalExtension, "a critical control is not known here"}
		}
	}
	base, err := ldap.ParseDN(m.BaseDN)
	if err != nil {
		return nil, outcome{gldap.ResultInvalidDNSyntax, "the base is not a DN"}
	}
	filter, err := ldap.CompileFilter(m.Filter)
	if err != nil {
		return nil, outcome{gldap.ResultProtocolError, "the filter does not parse"}
	}
	if !slices.ContainsFunc(t.entries, func(e entry) bool { return e.parsed.EqualFold(base) }) {
		return nil, outcome{gldap.ResultNoSuchObject, "there is no such base"}
	}
	var found []entry
	for _, e := range t.entries {
		same, below := e.parsed.EqualFold(base), base.AncestorOfFold(e.parsed)
		in := map[gldap.Scope]bool{
			gldap.BaseObject: same, gldap.WholeSubtree: same || below,
			gldap.SingleLevel: below && len(e.parsed.RDNs) == len(base.RDNs)+1,
		}[m.Scope]
		// The service account reads everything, a person their own entry.
		mayRead := who.service || normalizeDN(e.dn) == who.dn
		if match, known := matches(filter, e); !in || !match || !known || !mayRead {
			continue
		}
		if m.SizeLimit > 0 && int64(len(found)) == m.SizeLimit {
			return found, outcome{gldap.ResultSizeLimitExceeded, "more entries match than were asked for"}
		}
		found = append(found, e)
	}
	return found, success
}
