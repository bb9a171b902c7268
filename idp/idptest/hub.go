package idptest

import (
	"cmp"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed hub
var hubFiles embed.FS

// Hub is a hub's dialog as it was, as far as identity providers meet it: it
// frames the provisioning page, speaks jschannel with it, sends the browser to
// the authentication page, and takes it back at BASE/sign_in?AUTH_RETURN.
//
// Drive it in a browser at BASE/sign_in: type into #email, click #go. #status
// then shows where it stands (waiting, provisioning, certified, failed,
// cancelled), #reason why it failed, #attempts how often it has provisioned,
// and #bundle the certificate with an assertion for Audience.
type Hub struct {
	// Base is the path below which the hub lies, such as /persona.
	Base string
	// Provider is the origin of the identity provider, such as
	// https://example.test; Authentication and Provisioning are the paths of
	// its support document.
	Provider, Authentication, Provisioning string
	// Audience is the website for which assertions are made.
	Audience string
	// Duration is what the hub asks certificates for, in seconds.
	Duration int
	// Stubborn hubs send the browser to the authentication page after every
	// failure, not after the first only.
	Stubborn bool
	// Patience is how long the hub waits for the provisioning page after it was
	// loaded; 0: 20 seconds, as hubs did.
	Patience time.Duration
}

// ServeHTTP serves the dialog.
func (h Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch strings.TrimPrefix(r.URL.Path, h.Base) {
	case "/sign_in":
		h.servePage(w)
	case "/hub.js":
		http.ServeFileFS(w, r, hubFiles, "hub/hub.js")
	default:
		http.NotFound(w, r)
	}
}

func (h Hub) servePage(w http.ResponseWriter) {
	page, err := template.ParseFS(hubFiles, "hub/sign_in.html")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, map[string]string{ // a browser that left is not our concern
		"Script":         h.Base + "/hub.js",
		"Authentication": h.Provider + h.Authentication,
		"Provisioning":   h.Provider + h.Provisioning,
		"Audience":       h.Audience,
		"Duration":       strconv.Itoa(h.Duration),
		"Stubborn":       strconv.FormatBool(h.Stubborn),
		"Patience":       strconv.FormatInt(cmp.Or(h.Patience, 20*time.Second).Milliseconds(), 10),
	})
}
