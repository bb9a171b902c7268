package app

import (
	"strings"

	"persona-sidecar/proxy/certs"

	"github.com/prometheus/client_golang/prometheus"
)

// states reads, each time it is asked, what is a state and not an event: which parts of the world
// around are out of order, and until when the TLS certificates are good.
type states struct {
	health       *health
	refresh      func() // brings the health up to date
	certificates func() []certs.Status

	degraded *prometheus.Desc
	expiry   *prometheus.Desc
}

func newStates(health *health, refresh func(), certificates func() []certs.Status) *states {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &states{
		health: health, refresh: refresh, certificates: certificates,
		degraded: desc("degraded", "1 while a part that the program leans on is out of order; /readyz tells the cause.", "part", "name"),
		expiry:   desc("tls_certificate_expiry_timestamp_seconds", "When the TLS certificate in use for a name ends, as Unix time.", "name"),
	}
}

// Describe implements prometheus.Collector.
func (s *states) Describe(to chan<- *prometheus.Desc) {
	to <- s.degraded
	to <- s.expiry
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
	told := map[string]bool{} // a certificate may list a name twice, a series may not
	for _, status := range s.certificates() {
		if !status.NotAfter.IsZero() && !told[status.Name] {
			told[status.Name] = true
			to <- prometheus.MustNewConstMetric(s.expiry, prometheus.GaugeValue, float64(status.NotAfter.Unix()), status.Name)
		}
	}
}
