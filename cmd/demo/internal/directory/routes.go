package directory

import (
	"fmt"

	"github.com/jimlambrt/gldap"
)

// route tells the LDAP server who answers what: binds, searches, and a plain no to every write.
func (s *Server) route() error {
	mux, err := gldap.NewMux()
	if err != nil {
		return fmt.Errorf("making the LDAP routes: %w", err)
	}
	for _, add := range []func() error{
		func() error { return mux.Bind(s.serveBind) },
		func() error { return mux.Search(s.serveSearch) },
		func() error { return mux.Modify(readOnly(gldap.ApplicationModifyResponse)) },
		func() error { return mux.Add(readOnly(gldap.ApplicationAddResponse)) },
		func() error { return mux.Delete(readOnly(gldap.ApplicationDelResponse)) },
		func() error { return s.server.Router(mux) },
	} {
		if err := add(); err != nil {
			return fmt.Errorf("making the LDAP routes: %w", err)
		}
	}
	return nil
}

// A client that has left is the only reason why writing an answer fails; there is nobody to tell.

func (s *Server) serveBind(w *gldap.ResponseWriter, r *gldap.Request) {
	response := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultProtocolError))
	defer func() { _ = w.Write(response) }()
	m, err := r.GetSimpleBindMessage()
	if err != nil {
		return
	}
	who, end, told := s.tree.bind(m)
	s.bound.set(r.ConnectionID(), who)
	response.SetResultCode(end.code)
	response.SetDiagnosticMessage(end.message)
	if !told.told || !asksForPolicy(m.Controls) {
		return
	}
	if control, err := gldap.NewControlBeheraPasswordPolicy(gldap.WithErrorCode(uint(told.fault))); err == nil {
		response.SetControls(control)
	}
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
		for _, a := range e.selected(m.Attributes) {
			if m.TypesOnly {
				answer.AddAttribute(a.name, nil)
				continue
			}
			answer.AddAttribute(a.name, a.values)
		}
		if w.Write(answer) != nil {
			return
		}
	}
	done.SetResultCode(end.code)
	done.SetDiagnosticMessage(end.message)
}

func readOnly(application int) gldap.HandlerFunc {
	return func(w *gldap.ResponseWriter, r *gldap.Request) {
		_ = w.Write(r.NewResponse(
			gldap.WithApplicationCode(application),
			gldap.WithResponseCode(gldap.ResultUnwillingToPerform),
			gldap.WithDiagnosticMessage("this directory is read-only"),
		))
	}
}
