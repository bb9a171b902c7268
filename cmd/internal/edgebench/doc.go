// Edgebench compares the program with nginx, HAProxy, Caddy and a tuned
// httputil.ReverseProxy in front of the same website, and prints the ratios as
// Markdown. `make bench-proxy` runs it. What counts is CPU time for each request:
// rates depend on what else the machine does.
package main
