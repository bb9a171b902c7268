package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/route"

	"github.com/rs/zerolog"
)

// DefaultRate is how many requests a caller may send in a second unless
// configured.
const DefaultRate = 100

// APIConfig is what an API needs.
type APIConfig struct {
	Verifier *Verifier
	// Rate is how many requests a caller may send in a second; 0 is DefaultRate.
	Rate int
	// Counters count the requests of each caller; nil is the memory of this process.
	Counters Counters
	// ClientAddr gives the address of the caller, as far as it is known. nil
	// counts all callers as one.
	ClientAddr func(*http.Request) netip.Addr
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	Log zerolog.Logger
}

// API answers the requests of websites as the historic verifiers did: the first
// version with a form or JSON, the second with JSON. Every verdict is 200. It
// sets no header but those of its content; who routes to it sets the others.
type API struct {
	config APIConfig
}

// Counters count recent events by key. Count counts one event under key unless
// limit events lie within the window that ends now; then it returns how long to
// wait.
type Counters interface {
	Count(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration, err error)
}

// mostCallers bounds how many callers the default Counters count.
const mostCallers = 1 << 14

// NewAPI makes an API.
func NewAPI(config APIConfig) *API {
	if config.Rate == 0 {
		config.Rate = DefaultRate
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.ClientAddr == nil {
		config.ClientAddr = func(*http.Request) netip.Addr { return netip.Addr{} }
	}
	if config.Counters == nil {
		config.Counters = memory.New(memory.Config{Now: config.Now, Most: mostCallers})
	}
	return &API{config: config}
}

// ServeV1 answers POST /persona/verify.
func (a *API) ServeV1(w http.ResponseWriter, r *http.Request) { a.serve(w, r, readV1) }

// ServeV2 answers POST /persona/v2.
func (a *API) ServeV2(w http.ResponseWriter, r *http.Request) { a.serve(w, r, readV2) }

func (a *API) serve(w http.ResponseWriter, r *http.Request, read func(http.ResponseWriter, *http.Request) (question, error)) {
	err := a.admit(r)
	var q question
	if err == nil {
		q, err = read(w, r)
	}
	if err == nil {
		err = a.answer(w, r, q)
	}
	if err != nil {
		a.refuse(w, r, err)
	}
}

// admit counts a request of a client network. Unknown clients share one limit.
func (a *API) admit(r *http.Request) error {
	network := route.ClientNetwork(a.config.ClientAddr(r))
	wait, err := a.config.Counters.Count(r.Context(), "verify "+network.String(), a.config.Rate, time.Second)
	if err != nil {
		a.config.Log.Warn().Err(err).Msg("no assertion can be verified: requests cannot be counted")
		return errUnavailable
	}
	if wait > 0 {
		return errTooBusy
	}
	return nil
}

// answer writes the verdict, or returns why there is none.
func (a *API) answer(w http.ResponseWriter, r *http.Request, q question) error {
	ctx := WithCaller(r.Context(), route.ClientNetwork(a.config.ClientAddr(r)))
	verdict, err := a.config.Verifier.Verify(ctx, q.assertion, q.audience)
	var refused *Refusal
	switch {
	case err == nil:
		a.config.Log.Debug().Str("event", "verification").Stringer("email", verdict.Email).
			Str("issuer", verdict.Issuer).Str("audience", verdict.Audience).Msg("assertion verified")
		writeAnswer(w, http.StatusOK, okay(verdict))
		return nil
	case errors.As(err, &refused):
		event := a.config.Log.Info().Str("event", "verification").Str("reason", refused.Reason).AnErr("cause", cause(refused))
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) && hinted.Hint() != "" {
			event.Str("hint", hinted.Hint())
		}
		event.Msg("assertion refused")
		writeAnswer(w, http.StatusOK, failure{"failure", refused.Reason})
		return nil
	case errors.Is(err, ErrBusy):
		a.config.Log.Warn().Err(err).Msg("no assertion can be verified")
		return errTooBusy
	case errors.Is(err, context.Canceled): // the caller has left
		return errUnavailable
	}
	a.config.Log.Warn().Err(err).Msg("no assertion can be verified")
	return errUnavailable
}

// cause returns the innermost error: the reason alone may hide it from the caller.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		if _, ok := inner.(*LookupError); !ok { //nolint:errorlint // goes down one error at a time
			return inner
		}
		err = inner
	}
}

func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var e *requestError
	if !errors.As(err, &e) {
		e = errUnavailable
	}
	switch {
	case e.status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case e.status == http.StatusRequestTimeout && r.ProtoMajor == 1:
		w.Header().Set("Connection", "close") // the rest of the body is not waited for
	}
	writeAnswer(w, e.status, failure{"failure", e.reason})
}

type failure struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
}

type success struct {
	Status     string                     `json:"status"`
	Email      string                     `json:"email"`
	Audience   string                     `json:"audience"` // as the website wrote it
	Expires    int64                      `json:"expires"`  // milliseconds since 1970
	Issuer     string                     `json:"issuer"`
	IdPClaims  map[string]json.RawMessage `json:"idpClaims,omitempty"`
	UserClaims map[string]json.RawMessage `json:"userClaims,omitempty"`
}

func okay(v *Verdict) success {
	return success{
		Status: "okay", Email: v.Email.String(), Audience: v.Audience, Expires: v.Expires.UnixMilli(), Issuer: v.Issuer,
		IdPClaims: claims(v.IdPClaims()), UserClaims: claims(v.UserClaims()),
	}
}

func claims(from map[string][]byte) map[string]json.RawMessage {
	if from == nil {
		return nil
	}
	to := map[string]json.RawMessage{}
	for name, value := range from {
		to[name] = value
	}
	return to
}

func writeAnswer(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil { // claims were checked when they were read
		status, body = http.StatusInternalServerError, []byte(`{"status":"failure","reason":"unexpected error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only when the caller has left
}
