package app

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"persona-sidecar/ldapauth"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/upstream"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics count what the packages report, on a registry of this App alone. Every label has few values:
// names from the configuration and words that the packages have a list of; nothing of a person, and
// nothing that a client sends.
type metrics struct {
	registry *prometheus.Registry

	requests        *prometheus.CounterVec   // site, handler, status
	requestTime     *prometheus.HistogramVec // site, handler
	upstreamErrors  *prometheus.CounterVec   // site, cause
	signIns         *prometheus.CounterVec   // host, result
	certificates    *prometheus.CounterVec   // host, result
	sessionsRevoked *prometheus.CounterVec   // host, reason
	directoryTime   *prometheus.HistogramVec // directory, operation, result
}

func newMetrics(version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("http_requests_total",
			"Requests that are over.", "site", "handler", "status"),
		requestTime: histogram("http_request_duration_seconds",
			"Time from a request to the end of its answer, without upgraded connections.", prometheus.DefBuckets, "site", "handler"),
		upstreamErrors: counter("upstream_errors_total",
			"Faults of the website behind: no answer, or one that broke off.", "site", "cause"),
		signIns: counter("sign_ins_total",
			"Sign-in forms that were sent.", "host", "result"),
		certificates: counter("certificate_requests_total",
			"Identity certificates that were asked for.", "host", "result"),
		sessionsRevoked: counter("sessions_revoked_total",
			"Sessions that were ended before their time.", "host", "reason"),
		directoryTime: histogram("directory_request_duration_seconds",
			"Time that the directory took for a question.", prometheus.ExponentialBucketsRange(0.001, 10, 13), "directory", "operation", "result"),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the labels say which build runs.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(
		m.requests, m.requestTime, m.upstreamErrors, m.signIns, m.certificates, m.sessionsRevoked, m.directoryTime, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// namespace begins the name of every series of ours.
const namespace = "persona"

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

// handler serves the registry. A series that cannot be told does not keep back the others.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// served counts a request.
func (m *metrics) served(s middleware.Served) {
	site, handler := orNone(s.Site), orNone(s.Handler)
	m.requests.WithLabelValues(site, handler, statusClass(s.Status)).Inc()
	if !s.Upgraded {
		m.requestTime.WithLabelValues(site, handler).Observe(s.Took.Seconds())
	}
}

// orNone names what has no name: the site of an unknown host, the handler of a site without a website.
func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}

// statusClass is 1xx to 5xx. A website may answer with any number.
func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status/100) + "xx"
}

// ofUpstream counts the faults of one website.
func (m *metrics) ofUpstream(site string) func(upstream.Failure) {
	return func(f upstream.Failure) { m.upstreamErrors.WithLabelValues(site, string(f)).Inc() }
}

// ofDirectory measures one directory.
func (m *metrics) ofDirectory(name string) func(ldapauth.Operation, ldapauth.Outcome, time.Duration) {
	return func(op ldapauth.Operation, outcome ldapauth.Outcome, took time.Duration) {
		m.directoryTime.WithLabelValues(name, string(op), string(outcome)).Observe(took.Seconds())
	}
}

// forgetSite, forgetHost and forgetDirectory remove the series of what is configured no more.

func (m *metrics) forgetSite(name string) {
	m.requests.DeletePartialMatch(prometheus.Labels{"site": name})
	m.requestTime.DeletePartialMatch(prometheus.Labels{"site": name})
	m.upstreamErrors.DeletePartialMatch(prometheus.Labels{"site": name})
}

func (m *metrics) forgetHost(name string) {
	m.signIns.DeletePartialMatch(prometheus.Labels{"host": name})
	m.certificates.DeletePartialMatch(prometheus.Labels{"host": name})
	m.sessionsRevoked.DeletePartialMatch(prometheus.Labels{"host": name})
}

func (m *metrics) forgetDirectory(name string) {
	m.directoryTime.DeletePartialMatch(prometheus.Labels{"directory": name})
}

// SignIn, Certificate and SessionEnded make metrics the idp.Events of the provider.

func (m *metrics) SignIn(host, result string) { m.signIns.WithLabelValues(host, result).Inc() }

func (m *metrics) Certificate(host, result string) {
	m.certificates.WithLabelValues(host, result).Inc()
}

func (m *metrics) SessionEnded(host, reason string) {
	m.sessionsRevoked.WithLabelValues(host, reason).Inc()
}
