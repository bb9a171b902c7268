package cli

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// healthcheck asks the admin listener of a running sidecar whether it is alive.
// Only wrong flags exit with 2, because container engines reserve that code.
func healthcheck(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	path := configFlag(flags)
	addr := flags.String("addr", "", "`address` to ask instead of the configured listen.admin, as 127.0.0.1:9180")
	timeout := flags.Duration("timeout", 3*time.Second, "how long to wait for the answer")
	if err := parse(sh, flags, args); err != nil {
		return err
	}
	target := *addr
	if target == "" {
		configured, err := adminAddress(sh, *path)
		if err != nil {
			return err
		}
		target = configured
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	problem := func(cause error) error {
		return &failure{problem: "no answer from " + target, cause: cause, hint: "is persona running, and is this its listen.admin?", code: exitFailure}
	}
	if strings.Contains(target, "/") {
		return problem(fmt.Errorf("%q is not host and port", target))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/livez", nil)
	if err != nil {
		return problem(err)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return problem(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return problem(fmt.Errorf("/livez answered %s", response.Status))
	}
	fmt.Fprintln(sh.stdout, "alive")
	return nil
}

// adminAddress returns the address to ask for a configuration.
func adminAddress(sh shell, path string) (string, error) {
	c, err := load(sh, path)
	if err != nil {
		return "", &failure{problem: "finding listen.admin", cause: err, code: exitFailure}
	}
	if c.Listen.Admin == "" {
		return "", &failure{problem: "listen.admin is turned off", hint: "set it, or ask elsewhere with -addr", code: exitFailure}
	}
	host, port, err := net.SplitHostPort(c.Listen.Admin)
	if err != nil {
		return "", fmt.Errorf("reading listen.admin: %w", err)
	}
	if port == "0" {
		return "", &failure{problem: "listen.admin has the port 0, so the program chooses one", hint: "look it up in the log and ask with -addr", code: exitFailure}
	}
	return net.JoinHostPort(reachable(host), port), nil
}

// reachable returns a host to dial for a host to listen on.
func reachable(host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip == netip.IPv4Unspecified():
		return "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		return "::1"
	}
	return host
}
