package app

import (
	"runtime"
	"strconv"
	"strings"

	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/servers"
	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/limit"
	"persona-sidecar/proxy/middleware"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
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
	visits          *prometheus.CounterVec   // host, outcome
	refusals        *prometheus.CounterVec   // what, bound
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
		visits: counter("gate_requests_total",
			"Requests to websites that are told who is signed in, or are protected.", "host", "outcome"),
		directoryTime: histogram("directory_request_duration_seconds",
			"Time that the directory took for a question.", prometheus.ExponentialBucketsRange(0.001, 10, 13), "directory", "operation", "result"),
	}
	m.refusals = counter("limit_refusals_total",
		"What clients were refused because of limits, and idle connections that were closed for new ones.", "what", "bound")
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the labels say which build runs.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(
		m.requests, m.requestTime, m.upstreamErrors, m.signIns, m.certificates, m.sessionsRevoked, m.visits, m.directoryTime, m.refusals, build,
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

// served counts a request.
func (m *metrics) served(s middleware.Served) {
	site, handler := orNone(s.Site), orNone(s.Handler)
	class := "other" // a website may answer with any number
	if s.Status >= 100 && s.Status <= 599 {
		class = strconv.Itoa(s.Status/100) + "xx"
	}
	m.requests.WithLabelValues(site, handler, class).Inc()
	if !s.Upgraded {
		m.requestTime.WithLabelValues(site, handler).Observe(s.Took.Seconds())
	}
}

// refused counts what a limit refused.
func (m *metrics) refused(what, bound string) { m.refusals.WithLabelValues(what, bound).Inc() }

// watchLimits reads, at each scrape, how much of the limits is in use.
func (m *metrics) watchLimits(connections *limit.Connections, requests *limit.Requests) {
	gauge := func(name, help string, read func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, func() float64 { return float64(read()) })
	}
	m.registry.MustRegister(
		gauge("connections", "Connections of clients.", connections.Open),
		gauge("requests_in_flight", "Requests in flight, as limits.requests counts them.", requests.InFlight),
	)
}

// orNone names what has no name: the site of an unknown host, the handler of a site without a website.
func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}

// forget removes the series of a site, a host or a directory that is configured no more.
func (m *metrics) forget(label, name string) {
	for _, vector := range []*prometheus.MetricVec{
		m.requests.MetricVec, m.requestTime.MetricVec, m.upstreamErrors.MetricVec,
		m.signIns.MetricVec, m.certificates.MetricVec, m.sessionsRevoked.MetricVec, m.visits.MetricVec, m.directoryTime.MetricVec,
	} {
		vector.DeletePartialMatch(prometheus.Labels{label: name})
	}
}

// SignIn, Certificate and SessionEnded make metrics the idp.Events of the provider.

func (m *metrics) SignIn(host, result string) { m.signIns.WithLabelValues(host, result).Inc() }

func (m *metrics) Certificate(host, result string) {
	m.certificates.WithLabelValues(host, result).Inc()
}

func (m *metrics) SessionEnded(host, reason string) {
	m.sessionsRevoked.WithLabelValues(host, reason).Inc()
}

// states reads, at each scrape, what is a state and not an event: which parts do not work, and until when
// the TLS certificates are valid.
type states struct {
	health       *health
	refresh      func() // brings the health up to date
	certificates func() []certs.Status
	current      func() *generation

	degraded, expiry                                               *prometheus.Desc
	serverUp, serverConnections, serverTime, serverErrors, waiting *prometheus.Desc
}

func newStates(health *health, refresh func(), certificates func() []certs.Status, current func() *generation) *states {
	of := []string{"directory", "server", "address"}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	return &states{
		health: health, refresh: refresh, certificates: certificates, current: current,
		serverUp: desc("directory_server_up",
			"1 while the directory's server at this address is asked, 0 while it is passed over.", of...),
		serverConnections: desc("directory_server_connections",
			"Connections to the directory's server.", append(of, "operation", "state")...),
		serverTime: desc("directory_server_request_duration_seconds",
			"Time that the server took for an operation, or to fail.", append(of, "operation")...),
		serverErrors: desc("directory_server_errors_total",
			"Operations that the server did not do, and connections that were not made.", append(of, "cause")...),
		waiting: desc("directory_operations_waiting",
			"Operations that wait for one of the bounded connections.", "directory", "operation"),
		degraded: prometheus.NewDesc(namespace+"_degraded",
			"1 while a part that the program depends on does not work; /readyz has the cause.", []string{"part", "name"}, nil),
		expiry: prometheus.NewDesc(namespace+"_tls_certificate_expiry_timestamp_seconds",
			"When the TLS certificate in use for a name ends, as Unix time.", []string{"name"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (s *states) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{s.degraded, s.expiry, s.serverUp, s.serverConnections, s.serverTime, s.serverErrors, s.waiting} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (s *states) Collect(to chan<- prometheus.Metric) {
	s.refresh()
	for name, part := range s.health.readiness().Parts {
		value := 0.0
		if part.State != partOK {
			value = 1
		}
		kind, name, _ := strings.Cut(name, " ")
		to <- prometheus.MustNewConstMetric(s.degraded, prometheus.GaugeValue, value, kind, name)
	}
	for name, directory := range s.current().directories {
		s.collectDirectory(to, name, directory.Stats())
	}
	sent := map[string]bool{} // a certificate may list a name twice, a series may not
	for _, status := range s.certificates() {
		if !status.NotAfter.IsZero() && !sent[status.Name] {
			sent[status.Name] = true
			to <- prometheus.MustNewConstMetric(s.expiry, prometheus.GaugeValue, float64(status.NotAfter.Unix()), status.Name)
		}
	}
}

// collectDirectory sends the figures of a directory's servers. One that is configured twice is sent once.
func (s *states) collectDirectory(to chan<- prometheus.Metric, directory string, stats servers.Stats) {
	gauge := func(desc *prometheus.Desc, value int, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	gauge(s.waiting, stats.WaitingSearches, directory, string(ldapauth.OpSearch))
	gauge(s.waiting, stats.WaitingBinds, directory, string(ldapauth.OpBind))
	sent := map[[2]string]bool{}
	for _, one := range stats.Servers {
		if sent[[2]string{one.URL, one.Address}] {
			continue
		}
		sent[[2]string{one.URL, one.Address}] = true
		up := 0
		if one.Up {
			up = 1
		}
		gauge(s.serverUp, up, directory, one.URL, one.Address)
		for operation, use := range map[ldapauth.Operation]servers.Use{ldapauth.OpSearch: one.Searches, ldapauth.OpBind: one.Binds} {
			gauge(s.serverConnections, use.InUse, directory, one.URL, one.Address, string(operation), "in_use")
			gauge(s.serverConnections, use.Idle, directory, one.URL, one.Address, string(operation), "idle")
			buckets := map[float64]uint64{}
			for i, count := range use.Latency {
				buckets[servers.LatencyBounds()[i]] = count
			}
			to <- prometheus.MustNewConstHistogram(s.serverTime, use.Done, use.Spent.Seconds(), buckets, directory, one.URL, one.Address, string(operation))
		}
		for _, fault := range servers.Faults() {
			to <- prometheus.MustNewConstMetric(s.serverErrors, prometheus.CounterValue, float64(one.Faults[fault]), directory, one.URL, one.Address, string(fault))
		}
	}
}
