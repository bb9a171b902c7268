//go:build linux

package applications_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"
)

// stubWorld stands for persona until its gate works.
func stubWorld(t *testing.T, app *application) *world {
	authority := idptest.NewAuthority(t)
	target := &url.URL{Scheme: "http", Host: app.address}
	groups := map[string]string{"alice": "staff", "bob": "info"}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
		for name := range r.Out.Header {
			if strings.HasPrefix(name, "Remote-") {
				r.Out.Header.Del(name)
			}
		}
		if c, err := r.In.Cookie("stub"); err == nil {
			r.Out.Header.Set("Remote-User", c.Value)
			r.Out.Header.Set("Remote-Name", "Änne "+c.Value)
			r.Out.Header.Set("Remote-Email", c.Value+"@example.test")
			r.Out.Header.Set("Remote-Groups", groups[c.Value])
		}
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("/persona/login", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.SetCookie(w, &http.Cookie{Name: "stub", Value: r.FormValue("username"), Path: "/", Secure: true})
			http.Redirect(w, r, r.FormValue("return"), http.StatusSeeOther)
			return
		}
		fmt.Fprintf(w, `<!DOCTYPE html><form method=post><input id=username name=username><input id=password name=password><button id=submit>go</button></form>`)
	})
	mux.HandleFunc("/persona/logout", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.SetCookie(w, &http.Cookie{Name: "stub", Path: "/", Secure: true, MaxAge: -1})
			http.Redirect(w, r, r.FormValue("return"), http.StatusSeeOther)
			return
		}
		fmt.Fprintf(w, `<!DOCTYPE html><form method=post><button id=logout>go</button></form>`)
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/persona/") {
			mux.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	server.TLS = authority.TLS(t, "example.test")
	server.StartTLS()
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	return &world{t: t, app: app, address: address, trust: authority.KeyHash(), client: clientOf(address, authority)}
}
